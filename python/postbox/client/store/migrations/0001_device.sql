-- compatible: 1

-- -- The device's own: what a snapshot leaves as it is --------------------------------------------

create table owner (
  one integer primary key check (one = 1),
  user text not null,
  device text not null,
  host text not null,
  name text not null
) strict;

-- Where the device is. `awaited`: the number of the queue that the host awaits; 0: not known.
create table place (
  one integer primary key check (one = 1),
  token text not null default '',
  uuid text not null default '',
  epoch text not null default '',
  awaited integer not null default 0 check (awaited >= 0)
) strict;

insert into place (one) values (1);

-- What the user did, in order. `kind`: the content of the event, as the protocol calls it.
-- `standing`: as facts.Standing. `caught_up`: so often since it was answered. `sent_as`: what the
-- host is told that it is called; `local`, until it was refused and is tried again.
create table outbox (
  number integer primary key autoincrement,
  local text not null unique,
  sent_as text not null unique,
  kind text not null,
  conversation text not null,
  target text not null,
  body blob not null,
  standing integer not null default 0 check (standing between 0 and 3),
  made_ms integer not null,
  uuid text not null default '',
  tries integer not null default 0,
  tried_ms integer not null default 0,
  last_error text not null default '',
  code text not null default '',
  detail text not null default '',
  current blob not null default x'',
  is_duplicate integer not null default 0,
  caught_up integer not null default 0,
  kept_ms integer not null default 0
) strict;

create index outbox_standing on outbox (standing, number);
create index outbox_uuid on outbox (uuid) where uuid <> '';
create index outbox_unfinished on outbox (number) where standing < 3;
-- What is shown on top of the base.
create index outbox_conversation on outbox (conversation, kind, number, standing, made_ms)
  where standing < 3;
create index outbox_target on outbox (target, number) where standing < 3;
create index outbox_renamed on outbox (local, sent_as) where sent_as <> local;
create index outbox_kept on outbox (kept_ms, number) where standing = 3;

-- How far each of an app's handlers of messages has come.
create table handler (
  name text primary key
) strict, without rowid;

create table handled (
  name text not null,
  conversation text not null,
  seq integer not null,
  primary key (name, conversation)
) strict, without rowid;

-- -- The base: what the stream said, which a snapshot replaces (store/shadow.py has their names) ---

create table person (
  user text primary key,
  name text not null default '',
  display text not null default '',
  change text not null default '',
  picture_sha256 blob not null default x'',
  picture_change text not null default ''
) strict, without rowid;

create table picture (
  user text primary key,
  sha256 blob not null,
  png blob not null
) strict;

-- `reached`: the newest number that the device has. `floor`: it has all from this one on, but for
-- the holes; null: not known. `is_whole`: there is nothing before the floor. `change`: the event
-- that named it; empty: nothing is known of it yet but its number.
create table conversation (
  uuid text primary key,
  name text not null default '',
  change text not null default '',
  newest_ms integer not null default 0,
  reached integer not null default 0,
  floor integer,
  is_whole integer not null default 0
) strict;

create index conversation_newest on conversation (newest_ms, uuid);

create table hole (
  conversation text not null,
  after integer not null,
  before integer not null,
  primary key (conversation, before)
) strict, without rowid;

create table member (
  conversation text not null,
  user text not null,
  is_owner integer not null check (is_owner between 0 and 1),
  primary key (conversation, user)
) strict, without rowid;

create table watermark (
  conversation text not null,
  user text not null,
  read_seq integer not null default 0,
  delivered_seq integer not null default 0,
  primary key (conversation, user)
) strict, without rowid;

create table message (
  uuid text primary key,
  local text not null,
  conversation text not null,
  seq integer not null,
  author text not null,
  text text not null,
  reply_to text not null,
  at_ms integer not null,
  extra blob not null,
  is_own integer not null check (is_own between 0 and 1)
) strict;

create index message_seq on message (conversation, seq);
-- Those that the user may not have read.
create index message_of_others on message (conversation, seq) where is_own = 0;
create index message_local on message (local) where local <> '';

-- What became of messages, whether or not they are here: of each the change with the greatest
-- number counts.
create table edit (
  conversation text not null,
  message text not null,
  seq integer not null,
  event text not null,
  text text not null,
  extra blob not null,
  primary key (conversation, message)
) strict, without rowid;

create index edit_event on edit (event);

create table deleted (
  conversation text not null,
  message text not null,
  primary key (conversation, message)
) strict, without rowid;

create table reaction (
  conversation text not null,
  message text not null,
  reaction text not null,
  user text not null,
  seq integer not null,
  is_there integer not null check (is_there between 0 and 1),
  primary key (conversation, message, reaction, user)
) strict, without rowid;

-- Events of kinds that are an application's, or newer than this device. `number`: in order of
-- coming, for those of no conversation.
create table foreign_event (
  number integer primary key,
  conversation text not null,
  uuid text not null,
  local text not null,
  seq integer not null,
  author text not null,
  at_ms integer not null,
  body blob not null,
  unique (conversation, uuid)
) strict;

create index foreign_seq on foreign_event (conversation, seq, number);

create table guild (
  host text not null,
  guild text not null,
  name text not null,
  primary key (host, guild)
) strict, without rowid;

create table invite (
  host text not null,
  invite text not null,
  inviter text not null,
  conversation text not null,
  name text not null,
  primary key (host, invite)
) strict, without rowid;
