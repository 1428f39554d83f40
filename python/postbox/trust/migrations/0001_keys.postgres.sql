-- compatible: 1
-- Whose signature is checked with what. Every change has an entry in the stream `keys`.
create table "key" (
    name text collate "C" primary key check (length(name) between 1 and 64),
    "key" bytea not null check (octet_length("key") = 32),
    id text collate "C" check (length(id) between 1 and 64),
    old bytea not null check (octet_length(old) % 32 = 0 and octet_length(old) <= 512),
    source text collate "C" not null constraint key_source check (
        source in ('own', 'operator', 'hey-there', 'answer', 'proof')
    ),
    at_ms bigint not null
);

-- An id never names two.
create table voter (
    id text collate "C" primary key check (length(id) between 1 and 64),
    name text collate "C" not null
);
