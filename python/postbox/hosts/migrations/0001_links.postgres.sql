-- compatible: 1

-- The same tables as in 0001_links.sqlite.sql.
create table host (
  host text collate "C" primary key check (length(host) between 1 and 300),
  admit text collate "C" not null check (admit in ('', 'allow', 'block')),
  tokens text collate "C" not null check (tokens in ('', 'strict', 'plain'))
);

create table contact (
  host text collate "C" primary key check (length(host) between 1 and 250),
  first_ms bigint not null,
  last_ms bigint not null,
  "view" bytea not null check (octet_length("view") <= 4096)
);

create table peer_key (
  host text collate "C" primary key check (length(host) between 1 and 250),
  keys bytea not null check (octet_length(keys) <= 4096),
  capabilities text collate "C" not null check (length(capabilities) <= 1024),
  fetched_at_ms bigint not null
);

create table host_key (
  "only" bigint primary key check ("only" = 0),
  number bigint not null check (number > 0),
  from_ms bigint not null,
  old_until_ms bigint not null
);

create table link_out (
  host text collate "C" primary key check (length(host) between 1 and 250),
  last_seq bigint not null check (last_seq > 0),
  spans bytea not null check (octet_length(spans) <= 4096)
);

create table link_in (
  host text collate "C" primary key check (length(host) between 1 and 250),
  places bytea not null check (octet_length(places) <= 4096),
  at_ms bigint not null,
  refused_seq bigint not null check (refused_seq >= 0),
  refused_code text collate "C" not null check (length(refused_code) <= 64),
  refused_text text collate "C" not null check (length(refused_text) <= 1000)
);

create table consent (
  "user" text collate "C" not null check (length("user") between 1 and 400),
  host text collate "C" not null check (length(host) between 1 and 250),
  at_ms bigint not null,
  primary key ("user", host)
);
