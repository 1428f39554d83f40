-- compatible: 1
-- The same table as in 0003_done.sqlite.sql.
create table done (
    reader text collate "C" not null check (length(reader) between 1 and 300),
    at_ms bigint not null,
    pos bigint not null check (pos > 0),
    primary key (reader, at_ms)
);
