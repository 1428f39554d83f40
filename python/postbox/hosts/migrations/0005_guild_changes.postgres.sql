-- compatible: 1
-- The same table as in 0005_guild_changes.sqlite.sql.

create table guild_changes (
    "user" text collate "C" not null check (length("user") between 1 and 400),
    host text collate "C" not null check (length(host) between 1 and 300),
    until_ms bigint not null,
    primary key ("user", host)
);
