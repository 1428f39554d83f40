-- compatible: 3
-- Keys proved at a URL of the operator's, and how many keys a name had that nobody had vouched for
-- and that do not count any more.
alter table "key" drop constraint key_source;
alter table "key" add constraint key_source check (source in (
    'own', 'operator', 'hey-there', 'answer', 'proof', 'introduction', 'ping', 'admitted',
    'configured'
));
alter table "key" add column dropped bigint not null default 0 check (dropped >= 0);

-- Who was met first at a URL of the operator's: it vouches for no other name.
create table place (
    url text collate "C" primary key check (length(url) > 0),
    name text collate "C" not null
);
