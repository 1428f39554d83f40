-- compatible: 1

-- The durable readers of the log (log/outbox.py): one row a reader, however far it is behind.
create table outbox (
  reader text primary key check (length(reader) between 1 and 300),
  lane integer not null check (lane between 1 and 4),
  streams blob not null check (length(streams) <= 65536),
  acknowledged integer not null check (acknowledged >= 0),
  attempts integer not null check (attempts >= 0),
  failing_since_ms integer not null,
  retry_ms integer not null,
  error text not null check (length(error) <= 1000)
) strict, without rowid;

-- What a reader gave up, and went on beyond.
create table dead (
  reader text not null check (length(reader) between 1 and 300),
  pos integer not null check (pos > 0),
  lane integer not null check (lane between 1 and 4),
  stream blob not null check (length(stream) <= 255),
  id blob not null check (length(id) = 16),
  buried_ms integer not null,
  attempts integer not null check (attempts >= 0),
  error text not null check (length(error) <= 1000),
  is_revived integer not null check (is_revived between 0 and 1),
  primary key (reader, pos)
) strict, without rowid;

-- Looked at before every page, so what is dead and stays so must not be in the way.
create index dead_revived on dead (reader, pos) where is_revived = 1;
