-- compatible: 1

-- What the operator said of a host, or of all hosts that a pattern (`*.b.example`) names.
create table host (
  host text primary key check (length(host) between 1 and 300),
  admit text not null check (admit in ('', 'allow', 'block')),
  tokens text not null check (tokens in ('', 'strict', 'plain'))
) strict, without rowid;

-- Every host that ever was in touch, proved by its key, and how it last saw the link with us.
create table contact (
  host text primary key check (length(host) between 1 and 250),
  first_ms integer not null,
  last_ms integer not null,
  "view" blob not null check (length("view") <= 4096)
) strict, without rowid;

-- The keys of other hosts.
create table peer_key (
  host text primary key check (length(host) between 1 and 250),
  keys blob not null check (length(keys) <= 4096),
  capabilities text not null check (length(capabilities) <= 1024),
  fetched_at_ms integer not null
) strict, without rowid;

-- Which of the node's own host keys is used: one row, once a key was rotated.
create table host_key (
  "only" integer primary key check ("only" = 0),
  number integer not null check (number > 0),
  from_ms integer not null,
  old_until_ms integer not null
) strict, without rowid;

-- What was posted to a host: the last number, and from which number on which epoch's are.
create table link_out (
  host text primary key check (length(host) between 1 and 250),
  last_seq integer not null check (last_seq > 0),
  spans blob not null check (length(spans) <= 4096)
) strict, without rowid;

-- What came from a host: the last number of each epoch, and the number that is not taken.
create table link_in (
  host text primary key check (length(host) between 1 and 250),
  places blob not null check (length(places) <= 4096),
  at_ms integer not null,
  refused_seq integer not null check (refused_seq >= 0),
  refused_code text not null check (length(refused_code) <= 64),
  refused_text text not null check (length(refused_text) <= 1000)
) strict, without rowid;

-- Users who have dealt with a host: it may tell of them and invite them.
create table consent (
  "user" text not null check (length("user") between 1 and 400),
  host text not null check (length(host) between 1 and 250),
  at_ms integer not null,
  primary key ("user", host)
) strict, without rowid;
