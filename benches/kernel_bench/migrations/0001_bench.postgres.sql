-- compatible: 1
create table bench_key (
  name bytea primary key,
  key bytea not null
);
