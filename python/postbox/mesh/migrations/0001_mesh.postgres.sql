-- compatible: 1
-- The same tables as in 0001_mesh.sqlite.sql.
create table peer (
    name text collate "C" primary key not null check (length(name) between 1 and 64),
    url text collate "C" not null check (length(url) <= 300),
    origin text collate "C" not null check (origin in ('configured', 'met', 'heard', 'told')),
    kind text collate "C" not null check (kind in ('', 'postbox', 'nara')),
    version text collate "C" not null check (length(version) <= 200),
    memory_mode text collate "C" not null check (length(memory_mode) <= 200),
    uptime_s bigint not null,
    rtt_ms double precision,
    last_contact_ns bigint not null,
    cursor_ns bigint not null,
    told_ns bigint not null
);

create table coordinate (
    name text collate "C" primary key not null check (length(name) between 1 and 64),
    x double precision not null,
    y double precision not null,
    height double precision not null check (height >= 0),
    error double precision not null check (error >= 0)
);

create table peer_record (
    name text collate "C" primary key not null check (length(name) between 1 and 64),
    points double precision not null check (points >= 0),
    at_ns bigint not null,
    offences bigint not null check (offences >= 0),
    why text collate "C" not null check (length(why) <= 300),
    by_operator bigint not null check (by_operator in (0, 1))
);
