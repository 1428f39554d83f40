-- compatible: 1

-- The same tables as in 0002_outbox.sqlite.sql.
create table outbox (
  reader text collate "C" primary key check (length(reader) between 1 and 300),
  lane smallint not null check (lane between 1 and 4),
  streams bytea not null check (octet_length(streams) <= 65536),
  acknowledged bigint not null check (acknowledged >= 0),
  attempts bigint not null check (attempts >= 0),
  failing_since_ms bigint not null,
  retry_ms bigint not null,
  error text collate "C" not null check (length(error) <= 1000)
);

create table dead (
  reader text collate "C" not null check (length(reader) between 1 and 300),
  pos bigint not null check (pos > 0),
  lane smallint not null check (lane between 1 and 4),
  stream bytea not null check (octet_length(stream) <= 255),
  id bytea not null check (octet_length(id) = 16),
  buried_ms bigint not null,
  attempts bigint not null check (attempts >= 0),
  error text collate "C" not null check (length(error) <= 1000),
  is_revived smallint not null check (is_revived between 0 and 1),
  primary key (reader, pos)
);

create index dead_revived on dead (reader, pos) where is_revived = 1;
