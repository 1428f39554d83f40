-- compatible: 1
create table chat (
  id bytea primary key,
  name text collate "C" not null,
  version bigint not null
);

create table toy_member (
  chat bytea not null,
  "user" text collate "C" not null,
  primary key (chat, "user")
);

create table verdict (
  id bytea primary key,
  code text collate "C" not null
);
