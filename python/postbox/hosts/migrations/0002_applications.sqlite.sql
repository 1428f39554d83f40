-- compatible: 1
-- A user's guild list: `host` is where the guild lives.
create table guild (
    "user" text not null check (length("user") between 3 and 400),
    host text not null check (length(host) between 1 and 300),
    guild text not null check (length(guild) between 1 and 256),
    name text not null check (length(name) <= 256),
    at_ms integer not null,
    primary key ("user", host, guild)
) strict, without rowid;

-- Into a conversation of two: `direction` says whether it was made to a user of this node or by one.
create table invite (
    direction text not null check (direction in ('in', 'out')),
    host text not null check (length(host) between 1 and 300),
    invite text not null check (length(invite) between 1 and 256),
    inviter text not null check (length(inviter) between 3 and 400),
    "user" text not null check (length("user") between 3 and 400),
    conversation text not null check (length(conversation) <= 256),
    name text not null check (length(name) <= 256),
    answer text not null check (answer in ('', 'accepted', 'declined')),
    at_ms integer not null,
    primary key (direction, host, invite)
) strict, without rowid;
create index invite_open on invite ("user", at_ms, host, invite) where direction = 'in' and answer = '';
create index invite_made on invite (inviter, at_ms, host, invite) where direction = 'out';

-- What a host has brought a user, for its limits.
create table quota (
    "user" text not null check (length("user") <= 400),
    host text not null check (length(host) between 1 and 300),
    guilds integer not null check (guilds >= 0),
    invites_ms integer not null,
    primary key ("user", host)
) strict, without rowid;

-- Events to be posted, written by applications in their own transactions.
create table draft (
    n integer primary key autoincrement check (n > 0),
    id blob not null unique check (length(id) = 16),
    host text not null check (length(host) between 1 and 300),
    type_url text not null check (length(type_url) between 1 and 512),
    value blob not null check (length(value) <= 1000000),
    at_ms integer not null default 0,
    problem text not null default '' check (length(problem) <= 1000)
) strict;
create index draft_open on draft (n) where problem = '';

-- Whose effect an application has committed, until the node has acknowledged it.
create table handled (
    reader text not null check (length(reader) between 1 and 300),
    pos integer not null check (pos > 0),
    primary key (reader, pos)
) strict, without rowid;
