-- The order database of flash sales, first version.
--
-- Times are milliseconds since the Unix epoch, amounts are minor units of the sale's currency. `sale` is a
-- small number that stands for the sale's uid: it is given out once per uid and never again, so that a sale
-- re-created under the same name is another sale in every table.
--
-- Only `WITHOUT ROWID` is of this dialect.

CREATE TABLE sales (
    sale       BIGINT NOT NULL PRIMARY KEY,
    uid        TEXT   NOT NULL UNIQUE,           -- 32 hex digits
    namespace  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    spec       TEXT   NOT NULL,                  -- JSON, as declared
    currency   TEXT   NOT NULL,
    load_state TEXT   NOT NULL DEFAULT 'unseeded' CHECK (load_state IN ('unseeded', 'seeding', 'seeded')),
    phase      TEXT   NOT NULL,
    secret     BLOB   NOT NULL,                  -- signs the tickets
    created_at BIGINT NOT NULL
) WITHOUT ROWID;

-- One `flashsale_core::row::Row` per shard.
CREATE TABLE shards (
    sale          BIGINT NOT NULL REFERENCES sales (sale),
    shard         BIGINT NOT NULL,
    claimed       BIGINT NOT NULL DEFAULT 0,
    owner         BIGINT NOT NULL DEFAULT 0,     -- 64 bits, as a signed number
    medium        TEXT   NOT NULL DEFAULT 'log' CHECK (medium IN ('log', 'bypass')),
    applied_epoch BIGINT NOT NULL DEFAULT 0,
    applied       BIGINT NOT NULL DEFAULT 0,
    list_floor    BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (sale, shard)
) WITHOUT ROWID;

CREATE TABLE orders (
    sale        BIGINT NOT NULL,
    shard       BIGINT NOT NULL,
    made        BIGINT NOT NULL,                 -- the epoch in which the event was made
    n           BIGINT NOT NULL,                 -- the event's number
    buyer       TEXT   NOT NULL,
    item        BIGINT NOT NULL,
    quantity    BIGINT NOT NULL,
    units       TEXT   NOT NULL,                 -- '17' or '17-19,40'
    request_key BLOB,                            -- 16 bytes
    place       BIGINT NOT NULL,
    amount      BIGINT NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('reserved', 'pending', 'paid', 'closed')),
    reason      TEXT,                            -- of 'closed'
    reserved_at BIGINT NOT NULL,
    ordered_at  BIGINT,
    expires_at  BIGINT,
    paid_at     BIGINT,
    closed_at   BIGINT,
    order_id    TEXT,
    PRIMARY KEY (sale, shard, made, n)
) WITHOUT ROWID;
CREATE UNIQUE INDEX orders_by_id ON orders (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX orders_waiting ON orders (sale, reserved_at) WHERE state = 'reserved';
CREATE INDEX orders_unpaid ON orders (sale, expires_at) WHERE state = 'pending';

-- Which ticket holds a unit. A second holder is an oversell: the primary key refuses it.
CREATE TABLE live_units (
    sale  BIGINT NOT NULL,
    shard BIGINT NOT NULL,
    item  BIGINT NOT NULL,
    unit  BIGINT NOT NULL,
    made  BIGINT NOT NULL,
    n     BIGINT NOT NULL,
    PRIMARY KEY (sale, shard, item, unit)
) WITHOUT ROWID;

-- To be sent to the shard's owner until its `Released` event is applied.
CREATE TABLE releases (
    sale       BIGINT NOT NULL,
    shard      BIGINT NOT NULL,
    made       BIGINT NOT NULL,
    n          BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    decided_at BIGINT NOT NULL,
    PRIMARY KEY (sale, shard, made, n)
) WITHOUT ROWID;

CREATE TABLE payments (
    sale       BIGINT NOT NULL,
    payment_id TEXT   NOT NULL,
    shard      BIGINT NOT NULL,
    made       BIGINT NOT NULL,
    n          BIGINT NOT NULL,
    order_id   TEXT   NOT NULL,
    amount     BIGINT NOT NULL,
    result     TEXT   NOT NULL CHECK (result IN ('accepted', 'refund_due')),
    at         BIGINT NOT NULL,
    PRIMARY KEY (sale, payment_id)
) WITHOUT ROWID;

-- The local message table: written with the change that it tells of, sent afterwards, at least once.
CREATE TABLE messages (
    sale       BIGINT NOT NULL,
    id         BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    target     TEXT   NOT NULL,
    payload    TEXT   NOT NULL,                  -- JSON
    created_at BIGINT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    next_at    BIGINT NOT NULL,
    last_error TEXT,
    state      TEXT   NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'delivered', 'dead')),
    PRIMARY KEY (sale, id)
) WITHOUT ROWID;
CREATE INDEX messages_due ON messages (sale, next_at, id) WHERE state = 'due';
CREATE INDEX messages_dead ON messages (sale, id) WHERE state = 'dead';

-- Events that were counted and could not be applied. Their units stay locked until somebody has looked.
CREATE TABLE dead_events (
    sale   BIGINT NOT NULL,
    shard  BIGINT NOT NULL,
    made   BIGINT NOT NULL,
    n      BIGINT NOT NULL,
    item   BIGINT,
    units  TEXT,
    event  TEXT   NOT NULL,                      -- JSON
    reason TEXT   NOT NULL,
    PRIMARY KEY (sale, shard, made, n)
) WITHOUT ROWID;
