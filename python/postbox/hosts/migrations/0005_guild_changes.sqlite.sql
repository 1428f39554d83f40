-- compatible: 1

-- What a host has brought a user's guild list of late, for its rate: until when it counts.
create table guild_changes (
    "user" text not null check (length("user") between 1 and 400),
    host text not null check (length(host) between 1 and 300),
    until_ms integer not null,
    primary key ("user", host)
) strict, without rowid;
