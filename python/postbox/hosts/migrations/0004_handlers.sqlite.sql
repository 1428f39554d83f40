-- compatible: 1

-- The types of events that an application has a handler for, or had: where none is, they wait.
create table handler (
    type text primary key not null check (length(type) between 1 and 255)
) strict, without rowid;
