-- compatible: 1
create table bench_key (
  name blob primary key,
  key blob not null
) strict, without rowid;
