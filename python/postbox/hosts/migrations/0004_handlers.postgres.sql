-- compatible: 1
-- The same table as in 0004_handlers.sqlite.sql.
create table handler (
    type text collate "C" primary key not null check (length(type) between 1 and 255)
);
