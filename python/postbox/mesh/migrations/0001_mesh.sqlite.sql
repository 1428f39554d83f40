-- compatible: 1

-- The mesh's peers that this node knows of, and how contact with them went: where to begin at the
-- next start. Whatever is lost of it is found again.
create table peer (
    name text primary key not null check (length(name) between 1 and 64),
    url text not null check (length(url) <= 300),
    origin text not null check (origin in ('configured', 'met', 'heard', 'told')),
    kind text not null check (kind in ('', 'postbox', 'nara')),
    version text not null check (length(version) <= 200),
    memory_mode text not null check (length(memory_mode) <= 200),
    uptime_s integer not null,
    rtt_ms real,
    last_contact_ns integer not null,
    cursor_ns integer not null,
    told_ns integer not null
) strict, without rowid;

-- Where this node was by the ways to its peers: one row. Whatever is lost of it is measured again.
create table coordinate (
    name text primary key not null check (length(name) between 1 and 64),
    x real not null,
    y real not null,
    height real not null check (height >= 0),
    error real not null check (error >= 0)
) strict, without rowid;

-- What is held against them. Every change has an entry in the stream `peers`.
create table peer_record (
    name text primary key not null check (length(name) between 1 and 64),
    points real not null check (points >= 0),
    at_ns integer not null,
    offences integer not null check (offences >= 0),
    why text not null check (length(why) <= 300),
    by_operator integer not null check (by_operator in (0, 1))
) strict, without rowid;
