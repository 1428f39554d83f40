-- compatible: 1

-- The log. Lane 0 holds keepers: what is left of a removed entry that still carries the head's
-- position or its stream's newest number (docs/decisions/0001-removing-the-head.md).
create table entry (
  pos integer primary key check (pos > 0),
  lane integer not null check (lane between 0 and 4),
  stream blob not null check (length(stream) <= 255),
  seq integer check (seq > 0),
  id blob not null check (length(id) = 16),
  kind integer not null,
  flags integer not null,
  author blob not null check (length(author) <= 256),
  at_ms integer not null,
  body blob check (length(body) <= 1048576)
) strict;

-- Index pages are what a commit costs, so indexes are partial by lane: the mesh, which is one
-- stream with a Rust index of its own, pays for its ids only.
create unique index entry_id_1 on entry (id) where lane = 1;
create unique index entry_id_2 on entry (id) where lane = 2;
create unique index entry_id_3 on entry (id) where lane = 3;
create unique index entry_id_4 on entry (id) where lane = 4;
create unique index entry_number on entry (stream, seq) where seq is not null;
create index entry_stream_1 on entry (stream, pos) where lane = 1;
create index entry_stream_3 on entry (stream, pos) where lane = 3;
create index entry_stream_4 on entry (stream, pos) where lane = 4;
-- The few entries of the node lane are read whole at every start.
create index entry_node on entry (pos) where lane = 1;
create index entry_keeper on entry (pos) where lane = 0;

-- What names this database: the epoch and the cursors' key.
create table identity (
  name text primary key,
  value blob not null
) strict, without rowid;
