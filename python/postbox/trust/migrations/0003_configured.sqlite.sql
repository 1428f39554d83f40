-- compatible: 3
-- Keys proved at a URL of the operator's, and how many keys a name had that nobody had vouched for
-- and that do not count any more: SQLite cannot change a check, so the table is made anew.
create table key_3 (
    name text not null primary key check (length(name) between 1 and 64),
    "key" blob not null check (length("key") = 32),
    id text check (length(id) between 1 and 64),
    old blob not null check (length(old) % 32 = 0 and length(old) <= 512),
    source text not null check (source in (
        'own', 'operator', 'hey-there', 'answer', 'proof', 'introduction', 'ping', 'admitted',
        'configured'
    )),
    at_ms integer not null,
    dropped integer not null check (dropped >= 0)
) strict, without rowid;
insert into key_3 (name, "key", id, old, source, at_ms, dropped)
    select name, "key", id, old, source, at_ms, 0 from "key";
drop table "key";
alter table key_3 rename to "key";

-- Who was met first at a URL of the operator's: it vouches for no other name.
create table place (
    url text not null primary key check (length(url) > 0),
    name text not null
) strict, without rowid;
