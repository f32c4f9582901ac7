-- The tables of a small job shop, as its own application makes them: what the adapter work_orders
-- is fitted to. Nothing of it is mtc-sync's.

CREATE SCHEMA shop;

CREATE TABLE shop.work_center (
    code        text PRIMARY KEY,
    description text NOT NULL DEFAULT '',
    retired_at  timestamptz,
    cycle_ms    integer
);

CREATE TABLE shop.work_order (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    work_center text REFERENCES shop.work_center (code),
    item        text NOT NULL,
    quantity    integer NOT NULL CHECK (quantity > 0),
    running     boolean NOT NULL DEFAULT false,
    finished    boolean NOT NULL DEFAULT false,
    due         timestamptz
);

INSERT INTO shop.work_center (code, description, retired_at) VALUES
    ('MILL-1', 'three-axis mill', NULL),
    ('LATHE/2', 'lathe with bar feeder', NULL),
    ('Säge 3', 'saw', NULL),
    ('PRESS', 'sold', '2024-05-02 10:00+02');
