-- compatible: 1
create table chat (
  id blob primary key,
  name text not null,
  version integer not null
) strict, without rowid;

create table toy_member (
  chat blob not null,
  user text not null,
  primary key (chat, user)
) strict, without rowid;

create table verdict (
  id blob primary key,
  code text not null
) strict, without rowid;
