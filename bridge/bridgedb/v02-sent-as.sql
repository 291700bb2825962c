-- v1 -> v2: The name in which a message may have been sent before its sender was linked or unlinked

ALTER TABLE tim_outbox ADD COLUMN sent_as TEXT NOT NULL DEFAULT '';
ALTER TABLE tim_relay ADD COLUMN sent_as TEXT NOT NULL DEFAULT '';
