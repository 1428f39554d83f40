-- compatible: 2
-- More ways for a key to come in: SQLite cannot change a check, so the table is made anew.
create table key_2 (
    name text not null primary key check (length(name) between 1 and 64),
    "key" blob not null check (length("key") = 32),
    id text check (length(id) between 1 and 64),
    old blob not null check (length(old) % 32 = 0 and length(old) <= 512),
    source text not null check (source in (
        'own', 'operator', 'hey-there', 'answer', 'proof', 'introduction', 'ping', 'admitted'
    )),
    at_ms integer not null
) strict, without rowid;
insert into key_2 (name, "key", id, old, source, at_ms)
    select name, "key", id, old, source, at_ms from "key";
drop table "key";
alter table key_2 rename to "key";

-- Who introduced itself and waits for the operator. Every change has an entry in the stream `keys`.
create table waiting (
    name text not null primary key check (length(name) between 1 and 64),
    "key" blob not null check (length("key") = 32),
    id text check (length(id) between 1 and 64),
    address text not null check (length(address) <= 64),
    at_ms integer not null
) strict, without rowid;

-- How many names there are of each group that strangers can add to.
create table tally (
    what text not null primary key,
    count integer not null check (count >= 0)
) strict, without rowid;
insert into tally (what, count) select 'told', count(*) from "key" where source = 'answer';
