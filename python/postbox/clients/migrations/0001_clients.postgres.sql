-- compatible: 1

-- The same tables as in 0001_clients.sqlite.sql.

create table account (
  "user" bytea primary key check (octet_length("user") = 16),
  name text collate "C" not null check (length(name) between 1 and 64),
  display text collate "C" not null check (length(display) <= 256),
  picture bytea not null check (octet_length(picture) in (0, 32)),
  name_event bytea not null check (octet_length(name_event) in (0, 16)),
  picture_event bytea not null check (octet_length(picture_event) in (0, 16)),
  conversations bytea not null check (octet_length(conversations) % 16 = 0 and octet_length(conversations) <= 16000),
  at_ms bigint not null
);

create table device (
  "user" bytea not null check (octet_length("user") = 16),
  name text collate "C" not null check (length(name) between 1 and 64),
  id bytea not null check (octet_length(id) = 16),
  made_ms bigint not null,
  seen_ms bigint not null,
  revoked_ms bigint not null check (revoked_ms >= 0),
  primary key ("user", name)
);
create index device_id on device (id);

create table device_place (
  device bytea primary key check (octet_length(device) = 16),
  acked_pos bigint not null check (acked_pos >= 0)
);

create table queue (
  device bytea primary key check (octet_length(device) = 16),
  next_number bigint not null check (next_number > 0)
);

create table refused (
  device bytea primary key check (octet_length(device) = 16),
  refusals bytea not null check (octet_length(refusals) <= 131072)
);

create table conversation (
  conversation bytea primary key check (octet_length(conversation) = 16),
  name text collate "C" not null check (length(name) <= 256),
  name_event bytea not null check (octet_length(name_event) = 16),
  members bigint not null check (members between 0 and 1000),
  owners bigint not null check (owners between 0 and members),
  at_ms bigint not null
);

create table member (
  conversation bytea not null check (octet_length(conversation) = 16),
  "user" bytea not null check (octet_length("user") = 16),
  is_in bigint not null check (is_in between 0 and 1),
  role bigint not null check (role between 0 and 1),
  period bigint not null check (period > 0),
  event bytea not null check (octet_length(event) = 16),
  added_by bytea not null check (octet_length(added_by) in (0, 16)),
  primary key (conversation, "user")
);
create index member_in on member (conversation, "user") where is_in = 1;

create table added (
  "user" bytea not null check (octet_length("user") = 16),
  added_by bytea not null check (octet_length(added_by) = 16),
  conversations bigint not null check (conversations > 0),
  primary key ("user", added_by)
);

create table period (
  "user" bytea not null check (octet_length("user") = 16),
  conversation bytea not null check (octet_length(conversation) = 16),
  number bigint not null check (number > 0),
  joined bytea not null check (octet_length(joined) = 16),
  "left" bytea not null check (octet_length("left") in (0, 16)),
  sees_all bigint not null check (sees_all between 0 and 1),
  primary key ("user", conversation, number)
);
create index period_open on period ("user", conversation) where "left" = '';

create table changed_message (
  message bytea primary key check (octet_length(message) = 16),
  edit bytea not null check (octet_length(edit) in (0, 16)),
  deletion bytea not null check (octet_length(deletion) in (0, 16)),
  reactions bigint not null check (reactions between 0 and 1000)
);

create table reaction (
  message bytea not null check (octet_length(message) = 16),
  "user" bytea not null check (octet_length("user") = 16),
  reaction text collate "C" not null check (length(reaction) between 1 and 64),
  event bytea not null check (octet_length(event) = 16),
  primary key (message, "user", reaction)
);

create table watermark (
  conversation bytea not null check (octet_length(conversation) = 16),
  "user" bytea not null check (octet_length("user") = 16),
  kind bigint not null check (kind in (6, 16)),
  seq bigint not null check (seq > 0),
  event bytea not null check (octet_length(event) = 16),
  primary key (conversation, "user", kind)
);

create table tomb (
  id bytea primary key check (octet_length(id) = 16),
  pos bigint not null check (pos > 0),
  at_ms bigint not null
);
create index tomb_age on tomb (at_ms);

create table picture (
  sha256 bytea primary key check (octet_length(sha256) = 32),
  png bytea not null check (octet_length(png) between 1 and 65536)
);

create table picture_use (
  sha256 bytea primary key check (octet_length(sha256) = 32),
  users bigint not null check (users > 0)
);
