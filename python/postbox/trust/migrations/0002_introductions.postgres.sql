-- compatible: 2
-- More ways for a key to come in.
alter table "key" drop constraint key_source;
alter table "key" add constraint key_source check (source in (
    'own', 'operator', 'hey-there', 'answer', 'proof', 'introduction', 'ping', 'admitted'
));

-- Who introduced itself and waits for the operator. Every change has an entry in the stream `keys`.
create table waiting (
    name text collate "C" primary key check (length(name) between 1 and 64),
    "key" bytea not null check (octet_length("key") = 32),
    id text collate "C" check (length(id) between 1 and 64),
    address text collate "C" not null check (length(address) <= 64),
    at_ms bigint not null
);

-- How many names there are of each group that strangers can add to.
create table tally (
    what text collate "C" primary key,
    count bigint not null check (count >= 0)
);
insert into tally (what, count) select 'told', count(*) from "key" where source = 'answer';
