// matrix-js-sdk, driven over standard input and output: one JSON object a line, {"id", "cmd", ...} in, {"id", "result"} or
// {"id", "error"} out, answers in any order. Ends when its input ends. Run by StartJSClient (../jsclient.go), with the
// folder that holds node_modules in $TIMBRIDGE_JSSDK.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// Standard output belongs to the protocol.
for (const level of ["log", "info", "debug", "warn", "trace"]) console[level] = console.error;

const from = (path) => import(pathToFileURL(`${process.env.TIMBRIDGE_JSSDK}/node_modules/matrix-js-sdk/lib/${path}`));
const sdk = await from("index.js");
const { logger } = await from("logger.js");
logger.setLevel("warn");

let client;
const waiters = new Set(); // called whenever the client learnt something

const wake = () => {
    for (const waiter of [...waiters]) waiter();
};

// until resolves when check returns something true, and rejects after timeoutMs.
const until = (what, timeoutMs, check) =>
    new Promise((resolve, reject) => {
        const waiter = () => {
            const got = check();
            if (!got) return;
            clearTimeout(timer);
            waiters.delete(waiter);
            resolve(got);
        };
        const timer = setTimeout(() => {
            waiters.delete(waiter);
            reject(new Error(`waited ${timeoutMs} ms for ${what}`));
        }, timeoutMs);
        waiters.add(waiter);
        waiter();
    });

const knownRoom = (room) => {
    const found = client.getRoom(room);
    if (!found) throw new Error(`the client does not know room ${room}`);
    return found;
};

const knownEvent = ({ room, event }) => {
    const found = knownRoom(room).findEventById(event);
    if (!found) throw new Error(`the client does not know event ${event}`);
    return found;
};

// Receipts that the SDK invents (a sender has read his own message) do not count: only what the homeserver said.
const readUpTo = (room, user) => client.getRoom(room)?.getEventReadUpTo(user, true) ?? "";

const commands = {
    async login({ baseUrl, user, password }) {
        const identifier = { type: "m.id.user", user };
        const login = await sdk.createClient({ baseUrl }).loginRequest({ type: "m.login.password", identifier, password });
        client = sdk.createClient({
            baseUrl,
            accessToken: login.access_token,
            userId: login.user_id,
            deviceId: login.device_id,
            timelineSupport: true,
        });
        for (const name of ["sync", "Room", "Room.timeline", "Room.receipt", "Room.myMembership"]) client.on(name, wake);
        await client.startClient({ initialSyncLimit: 100, threadSupport: true });
        await until("the first sync", 30000, () => client.getSyncState() === "PREPARED" || client.getSyncState() === "SYNCING");
        return login.user_id;
    },
    async join({ room }) {
        await client.joinRoom(room);
    },
    async sendText({ room, body }) {
        return (await client.sendTextMessage(room, body)).event_id;
    },
    async waitEvent({ room, event, timeoutMs }) {
        const found = await until(`event ${event}`, timeoutMs, () => client.getRoom(room)?.findEventById(event));
        return found.getContent();
    },
    async sendReadReceipt(args) {
        await client.sendReadReceipt(knownEvent(args));
    },
    async usersReadUpTo(args) {
        return knownRoom(args.room).getUsersReadUpTo(knownEvent(args));
    },
    async eventReadUpTo({ room, user }) {
        return readUpTo(room, user);
    },
    async waitReadUpTo({ room, user, event, timeoutMs }) {
        await until(`${user} having read up to ${event}`, timeoutMs, () => readUpTo(room, user) === event);
    },
    async unread({ room }) {
        return knownRoom(room).getUnreadNotificationCount("total") ?? 0;
    },
};

const answer = (line) => process.stdout.write(JSON.stringify(line) + "\n");

createInterface({ input: process.stdin })
    .on("line", async (line) => {
        const { id, cmd, ...args } = JSON.parse(line);
        try {
            if (!Object.hasOwn(commands, cmd)) throw new Error(`unknown command ${cmd}`);
            answer({ id, result: (await commands[cmd](args)) ?? null });
        } catch (err) {
            answer({ id, error: String(err?.message ?? err) });
        }
    })
    .on("close", () => {
        client?.stopClient();
        process.exit(0);
    });
