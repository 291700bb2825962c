# timbridge in a container: state and config live in /data, the process runs as
# UID:GID (1337:1337 unless set otherwise). See docker-run.sh for what happens
# at the first starts.
FROM golang:1.26-alpine AS build

RUN apk add --no-cache git ca-certificates
WORKDIR /src

# The modules change less often than the code: a layer of their own.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
# The SQLite driver is pure Go, so the binary needs no C library.
RUN CGO_ENABLED=0 go build -trimpath -o /timbridge -ldflags "-s -w \
      -X main.Tag=$(git describe --exact-match --tags 2>/dev/null) \
      -X main.Commit=$(git rev-parse HEAD 2>/dev/null) \
      -X main.BuildTime=$(date -u +%Y-%m-%dT%H:%M:%SZ)" ./cmd/timbridge

FROM alpine:3.23

ENV UID=1337 GID=1337

RUN apk add --no-cache ca-certificates su-exec tzdata

COPY --from=build /timbridge /usr/bin/timbridge
COPY docker-run.sh /docker-run.sh

VOLUME /data
WORKDIR /data
# For the homeserver, for apps, and for Tencent Cloud's webhooks.
EXPOSE 29380 29381 29382

CMD ["/docker-run.sh"]
