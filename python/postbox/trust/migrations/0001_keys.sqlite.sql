-- compatible: 1
-- Whose signature is checked with what. Every change has an entry in the stream `keys`.
create table "key" (
    name text not null primary key check (length(name) between 1 and 64),
    "key" blob not null check (length("key") = 32),
    id text check (length(id) between 1 and 64),
    old blob not null check (length(old) % 32 = 0 and length(old) <= 512),
    source text not null check (source in ('own', 'operator', 'hey-there', 'answer', 'proof')),
    at_ms integer not null
) strict, without rowid;

-- An id never names two.
create table voter (
    id text not null primary key check (length(id) between 1 and 64),
    name text not null
) strict, without rowid;
