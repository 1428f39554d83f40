-- compatible: 1

-- The users of this host who have signed in. `conversations`: ids of 16 bytes.
create table account (
  "user" blob primary key check (length("user") = 16),
  name text not null check (length(name) between 1 and 64),
  display text not null check (length(display) <= 256),
  picture blob not null check (length(picture) in (0, 32)),
  name_event blob not null check (length(name_event) in (0, 16)),
  picture_event blob not null check (length(picture_event) in (0, 16)),
  conversations blob not null check (length(conversations) % 16 = 0 and length(conversations) <= 16000),
  at_ms integer not null
) strict, without rowid;

create table device (
  "user" blob not null check (length("user") = 16),
  name text not null check (length(name) between 1 and 64),
  id blob not null check (length(id) = 16),
  made_ms integer not null,
  seen_ms integer not null,
  revoked_ms integer not null check (revoked_ms >= 0),
  primary key ("user", name)
) strict, without rowid;
create index device_id on device (id);

-- Up to where a device has everything; the next number of its queue; what was refused it.
create table device_place (
  device blob primary key check (length(device) = 16),
  acked_pos integer not null check (acked_pos >= 0)
) strict, without rowid;

create table queue (
  device blob primary key check (length(device) = 16),
  next_number integer not null check (next_number > 0)
) strict, without rowid;

create table refused (
  device blob primary key check (length(device) = 16),
  refusals blob not null check (length(refusals) <= 131072)
) strict, without rowid;

-- `owners`: of the members. Where none is left, every member may what an owner may.
create table conversation (
  conversation blob primary key check (length(conversation) = 16),
  name text not null check (length(name) <= 256),
  name_event blob not null check (length(name_event) = 16),
  members integer not null check (members between 0 and 1000),
  owners integer not null check (owners between 0 and members),
  at_ms integer not null
) strict, without rowid;

create table member (
  conversation blob not null check (length(conversation) = 16),
  "user" blob not null check (length("user") = 16),
  is_in integer not null check (is_in between 0 and 1),
  role integer not null check (role between 0 and 1),
  period integer not null check (period > 0),
  event blob not null check (length(event) = 16),
  added_by blob not null check (length(added_by) in (0, 16)),
  primary key (conversation, "user")
) strict, without rowid;
create index member_in on member (conversation, "user") where is_in = 1;

-- In how many conversations a user is into which another one has brought it.
create table added (
  "user" blob not null check (length("user") = 16),
  added_by blob not null check (length(added_by) = 16),
  conversations integer not null check (conversations > 0),
  primary key ("user", added_by)
) strict, without rowid;

-- What a member sees: from the event that let it in to the one that let it out.
create table period (
  "user" blob not null check (length("user") = 16),
  conversation blob not null check (length(conversation) = 16),
  number integer not null check (number > 0),
  joined blob not null check (length(joined) = 16),
  "left" blob not null check (length("left") in (0, 16)),
  sees_all integer not null check (sees_all between 0 and 1),
  primary key ("user", conversation, number)
) strict, without rowid;
create index period_open on period ("user", conversation) where "left" = x'';

-- Messages that were edited, deleted or reacted to: `edit` is the newest.
create table changed_message (
  message blob primary key check (length(message) = 16),
  edit blob not null check (length(edit) in (0, 16)),
  deletion blob not null check (length(deletion) in (0, 16)),
  reactions integer not null check (reactions between 0 and 1000)
) strict, without rowid;

create table reaction (
  message blob not null check (length(message) = 16),
  "user" blob not null check (length("user") = 16),
  reaction text not null check (length(reaction) between 1 and 64),
  event blob not null check (length(event) = 16),
  primary key (message, "user", reaction)
) strict, without rowid;

create table watermark (
  conversation blob not null check (length(conversation) = 16),
  "user" blob not null check (length("user") = 16),
  kind integer not null check (kind in (6, 16)),
  seq integer not null check (seq > 0),
  event blob not null check (length(event) = 16),
  primary key (conversation, "user", kind)
) strict, without rowid;

-- Where an event was that another has replaced, for devices whose cursor it is.
create table tomb (
  id blob primary key check (length(id) = 16),
  pos integer not null check (pos > 0),
  at_ms integer not null
) strict, without rowid;
create index tomb_age on tomb (at_ms);

-- Pictures, once each, and how many users have them.
create table picture (
  sha256 blob primary key check (length(sha256) = 32),
  png blob not null check (length(png) between 1 and 65536)
) strict;

create table picture_use (
  sha256 blob primary key check (length(sha256) = 32),
  users integer not null check (users > 0)
) strict, without rowid;
