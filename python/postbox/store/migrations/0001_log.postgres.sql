-- compatible: 1

-- The same log as in 0001_log.sqlite.sql. Lane 0 holds keepers.
create table entry (
  pos bigint primary key check (pos > 0),
  lane smallint not null check (lane between 0 and 4),
  stream bytea not null check (octet_length(stream) <= 255),
  seq bigint check (seq > 0),
  id bytea not null check (octet_length(id) = 16),
  kind bigint not null,
  flags bigint not null,
  author bytea not null check (octet_length(author) <= 256),
  at_ms bigint not null,
  body bytea check (octet_length(body) <= 1048576)
);

create unique index entry_id_1 on entry (id) where lane = 1;
create unique index entry_id_2 on entry (id) where lane = 2;
create unique index entry_id_3 on entry (id) where lane = 3;
create unique index entry_id_4 on entry (id) where lane = 4;
create unique index entry_number on entry (stream, seq) where seq is not null;
create index entry_stream_1 on entry (stream, pos) where lane = 1;
create index entry_stream_3 on entry (stream, pos) where lane = 3;
create index entry_stream_4 on entry (stream, pos) where lane = 4;
create index entry_node on entry (pos) where lane = 1;
create index entry_keeper on entry (pos) where lane = 0;

-- Drawn once a writing transaction, by any process: who draws the number after its own knows that
-- nobody wrote in between. A sequence, since a row that every commit updates decays while somebody
-- reads an old snapshot.
create sequence turn;

-- What each commit did, for the node's other processes: the entries up to this head, and in `data`
-- what was removed and erased. The newest are kept.
create table news (
  turn bigint primary key,
  head bigint not null,
  data bytea
);

create table identity (
  name text collate "C" primary key,
  value bytea not null
);

-- Who has or had work that must run once a node, see `log/leases.py`. The lease itself is an advisory
-- lock; the row says whether whoever takes it next has to wait until its last holder can be at it no
-- more. It is believed on the server only that `server`, the moment when it started, names.
create table lease (
  name text collate "C" primary key,
  holder bytea not null,
  server timestamptz not null,
  is_released boolean not null
);
