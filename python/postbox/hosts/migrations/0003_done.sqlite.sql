-- compatible: 1

-- Up to which position a link's reader was done, and when: what is kept is counted from there. A few
-- rows a reader, the oldest of which go.
create table done (
  reader text not null check (length(reader) between 1 and 300),
  at_ms integer not null,
  pos integer not null check (pos > 0),
  primary key (reader, at_ms)
) strict, without rowid;
