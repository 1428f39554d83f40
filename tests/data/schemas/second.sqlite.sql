PRAGMA page_size=4096;
BEGIN TRANSACTION;
DROP TABLE IF EXISTS account;
CREATE TABLE account (
  "user" blob primary key check (length("user") = 16),
  name text not null check (length(name) between 1 and 64),
  display text not null check (length(display) <= 256),
  picture blob not null check (length(picture) in (0, 32)),
  name_event blob not null check (length(name_event) in (0, 16)),
  picture_event blob not null check (length(picture_event) in (0, 16)),
  conversations blob not null check (length(conversations) % 16 = 0 and length(conversations) <= 16000),
  at_ms integer not null
) strict, without rowid;
DROP TABLE IF EXISTS added;
CREATE TABLE added (
  "user" blob not null check (length("user") = 16),
  added_by blob not null check (length(added_by) = 16),
  conversations integer not null check (conversations > 0),
  primary key ("user", added_by)
) strict, without rowid;
DROP TABLE IF EXISTS changed_message;
CREATE TABLE changed_message (
  message blob primary key check (length(message) = 16),
  edit blob not null check (length(edit) in (0, 16)),
  deletion blob not null check (length(deletion) in (0, 16)),
  reactions integer not null check (reactions between 0 and 1000)
) strict, without rowid;
DROP TABLE IF EXISTS consent;
CREATE TABLE consent (
  "user" text not null check (length("user") between 1 and 400),
  host text not null check (length(host) between 1 and 250),
  at_ms integer not null,
  primary key ("user", host)
) strict, without rowid;
DROP TABLE IF EXISTS contact;
CREATE TABLE contact (
  host text primary key check (length(host) between 1 and 250),
  first_ms integer not null,
  last_ms integer not null,
  "view" blob not null check (length("view") <= 4096)
) strict, without rowid;
DROP TABLE IF EXISTS conversation;
CREATE TABLE conversation (
  conversation blob primary key check (length(conversation) = 16),
  name text not null check (length(name) <= 256),
  name_event blob not null check (length(name_event) = 16),
  members integer not null check (members between 0 and 1000),
  owners integer not null check (owners between 0 and members),
  at_ms integer not null
) strict, without rowid;
DROP TABLE IF EXISTS coordinate;
CREATE TABLE coordinate (
    name text primary key not null check (length(name) between 1 and 64),
    x real not null,
    y real not null,
    height real not null check (height >= 0),
    error real not null check (error >= 0)
) strict, without rowid;
INSERT INTO coordinate VALUES('second',-0.5417513699905196,-0.7231471503480686,0.18051525169359123,0.9199879923082246);
DROP TABLE IF EXISTS dead;
CREATE TABLE dead (
  reader text not null check (length(reader) between 1 and 300),
  pos integer not null check (pos > 0),
  lane integer not null check (lane between 1 and 4),
  stream blob not null check (length(stream) <= 255),
  id blob not null check (length(id) = 16),
  buried_ms integer not null,
  attempts integer not null check (attempts >= 0),
  error text not null check (length(error) <= 1000),
  is_revived integer not null check (is_revived between 0 and 1),
  primary key (reader, pos)
) strict, without rowid;
CREATE INDEX dead_revived on dead (reader, pos) where is_revived = 1;
DROP TABLE IF EXISTS device;
CREATE TABLE device (
  "user" blob not null check (length("user") = 16),
  name text not null check (length(name) between 1 and 64),
  id blob not null check (length(id) = 16),
  made_ms integer not null,
  seen_ms integer not null,
  revoked_ms integer not null check (revoked_ms >= 0),
  primary key ("user", name)
) strict, without rowid;
CREATE INDEX device_id on device (id);
DROP TABLE IF EXISTS device_place;
CREATE TABLE device_place (
  device blob primary key check (length(device) = 16),
  acked_pos integer not null check (acked_pos >= 0)
) strict, without rowid;
DROP TABLE IF EXISTS done;
CREATE TABLE done (
  reader text not null check (length(reader) between 1 and 300),
  at_ms integer not null,
  pos integer not null check (pos > 0),
  primary key (reader, at_ms)
) strict, without rowid;
DROP TABLE IF EXISTS draft;
CREATE TABLE draft (
    n integer primary key autoincrement check (n > 0),
    id blob not null unique check (length(id) = 16),
    host text not null check (length(host) between 1 and 300),
    type_url text not null check (length(type_url) between 1 and 512),
    value blob not null check (length(value) <= 1000000),
    at_ms integer not null default 0,
    problem text not null default '' check (length(problem) <= 1000)
) strict;
CREATE INDEX draft_open on draft (n) where problem = '';
DROP TABLE IF EXISTS entry;
CREATE TABLE entry (
  pos integer primary key check (pos > 0),
  lane integer not null check (lane between 0 and 4),
  stream blob not null check (length(stream) <= 255),
  seq integer check (seq > 0),
  id blob not null check (length(id) = 16),
  kind integer not null,
  flags integer not null,
  author blob not null check (length(author) <= 256),
  at_ms integer not null,
  body blob check (length(body) <= 1048576)
) strict;
INSERT INTO entry VALUES(1,1,X'6B657973',NULL,X'01A1FB67180072FD9B193A1DC3675C62',1,0,X'',1795219200000,X'7B226E616D65223A227365636F6E64222C226B6579223A22304E4F424369595950564C7577636F397A737564764D354A366C50536C745552334D6E4A7165422F3354413D222C226964223A2236344E4E4C6F4554545A414A466942706B6551744270587064643763576F667279725362386E4647726F324B222C226F6C64223A5B5D2C22736F75726365223A226F776E222C2261745F6D73223A313739353231393230303030302C2264726F70706564223A307D');
INSERT INTO entry VALUES(2,1,X'6B657973',NULL,X'01A1FB671800746EA4063988ACAA3710',1,0,X'',1795219200000,X'7B226E616D65223A22616E6E222C226B6579223A2250497A4947702F6738685270744E37704B436859546A786A6948784A484732527746726958794B4E436C733D222C226964223A2243716B4834596D44416733666572456E534A415658484B433245626B785A347132336A6B3675346944785053222C226F6C64223A5B5D2C22736F75726365223A226F70657261746F72222C2261745F6D73223A313739353231393230303030302C2264726F70706564223A307D');
INSERT INTO entry VALUES(3,1,X'6B657973',NULL,X'01A1FB6718007F2D9292008D4712C0F9',1,0,X'',1795219200000,X'7B226E616D65223A22626F62222C226B6579223A22535676707072554F7239482B736E5671533958746D36615A6958785058485576646E5A664C2B755A67374D3D222C226964223A22445636557A616859794B4477467941334859544A7A6D44557A6D694E736F7A66706677795756784E6F367A58222C226F6C64223A5B5D2C22736F75726365223A226F70657261746F72222C2261745F6D73223A313739353231393230303030302C2264726F70706564223A307D');
INSERT INTO entry VALUES(4,1,X'6B657973',NULL,X'8300DF2B3AC34A3583329DF3F5EFD37B',1,0,X'',1795219200000,X'7B226E616D65223A22636174222C226B6579223A2244395A396C6D697837514F33334761652F6B76476E317A6C52714D346D544A7646754B333179664A5745553D222C226964223A6E756C6C2C226F6C64223A5B5D2C22736F75726365223A22616E73776572222C2261745F6D73223A313739353231393230303030302C2264726F70706564223A307D');
INSERT INTO entry VALUES(7,1,X'6B657973',NULL,X'01A1FB67180079D590B4DADF9EA75108',1,0,X'',1795219200000,X'7B226E616D65223A22636174222C226B6579223A223261354F797A78386759736C676D48343934337A554A714F47426A504878476C5039734575513549574D673D222C226964223A22356872375138335A7261564455367643335076347170444A6F6F656A425777656B7A4B45357042387143414B222C226F6C64223A5B5D2C22736F75726365223A22636F6E66696775726564222C2261745F6D73223A313739353231393230303030302C2264726F70706564223A317D');
INSERT INTO entry VALUES(8,1,X'6B657973',NULL,X'01A1FB671800721AA924DA81F121996D',2,0,X'',1795219200000,X'7B226E616D65223A226D616C6C6F7279222C226B6579223A22596748706D73335A434A4C516368497778795A78385765486668744B346E4367492F376C4F3236494542673D222C226964223A6E756C6C2C2261646472657373223A223139322E302E322E37222C2261745F6D73223A313739353231393230303030307D');
INSERT INTO entry VALUES(9,2,X'6D657368',NULL,X'F0866FF81E8F28BAB3DD902E9E432738',0,2,X'616E6E',1795219180000,X'7B226964223A226630383636666638316538663238626162336464393032653965343332373338222C227473223A313739353231393138303030303030303030302C22737663223A22736F6369616C222C22656D6974746572223A22616E6E222C22736967223A22357A7A476770735A5368494B4C3961595474496F446D65776F6C583042317343564E4D67597867452F72756F51796F682F6C4354766F36327464656E5354543351565836754662446543777651584B78682F697043413D3D222C22736F6369616C223A7B2274797065223A227465617365222C226163746F72223A22616E6E222C22746172676574223A22626F62222C22726561736F6E223A2272616E646F6D227D7D');
INSERT INTO entry VALUES(10,2,X'6D657368',NULL,X'1AF842030875EBC3BCD714EF1B9E022B',0,2,X'616E6E',1795219179000,X'7B226964223A223161663834323033303837356562633362636437313465663162396530323262222C227473223A313739353231393137393030303030303030302C22737663223A22736F6369616C222C22656D6974746572223A22616E6E222C22736967223A22516E3547326F72786B576359626B5637496B50464A454E2B72774365412F503163476C5668374C3030504568357A41317335724C537163455A6761615178503678334A447148324B763653703731706341726E4844673D3D222C22736F6369616C223A7B2274797065223A227465617365222C226163746F72223A22616E6E222C22746172676574223A22626F62222C22726561736F6E223A2272616E646F6D227D7D');
INSERT INTO entry VALUES(11,2,X'6D657368',NULL,X'E809E6F5030B2D28B0D0E9AD5B2B42DA',0,2,X'616E6E',1795219178000,X'7B226964223A226538303965366635303330623264323862306430653961643562326234326461222C227473223A313739353231393137383030303030303030302C22737663223A22736F6369616C222C22656D6974746572223A22616E6E222C22736967223A226E374F5768746334354F6C52323133444E54456150472F484F425169643455634A3253534B5A5451474952636B79776F7467656572436A4261626674353373754B6E6F5A6A5433765941737A312B4C5A45654A5343413D3D222C22736F6369616C223A7B2274797065223A227465617365222C226163746F72223A22616E6E222C22746172676574223A22626F62222C22726561736F6E223A2272616E646F6D227D7D');
INSERT INTO entry VALUES(12,2,X'6D657368',NULL,X'30F01823472A7AF0BADC85A5BAD4095A',0,2,X'616E6E',1795219177000,X'7B226964223A223330663031383233343732613761663062616463383561356261643430393561222C227473223A313739353231393137373030303030303030302C22737663223A22736F6369616C222C22656D6974746572223A22616E6E222C22736967223A2236504D635655525A2B477A5269656258385349304438374B796B646F7268784A4131644A5647394748674F343275667A686D44567477597730326466795743475259506A7173586359563349725A6662494D4C3343773D3D222C22736F6369616C223A7B2274797065223A227465617365222C226163746F72223A22616E6E222C22746172676574223A22626F62222C22726561736F6E223A2272616E646F6D227D7D');
INSERT INTO entry VALUES(13,2,X'6D657368',NULL,X'59BF233079D04D8CCCB306B6EC3ECFF2',0,2,X'616E6E',1795219176000,X'7B226964223A223539626632333330373964303464386363636233303662366563336563666632222C227473223A313739353231393137363030303030303030302C22737663223A22736F6369616C222C22656D6974746572223A22616E6E222C22736967223A226F34542B2F77715964514F6272386E7266444D613355382B366D4F746659484C50306A795044664F57486E59766A70476654486D3642494F64536E36412B374F4964756977534D535857572F37504F644F79784841673D3D222C22736F6369616C223A7B2274797065223A227465617365222C226163746F72223A22616E6E222C22746172676574223A22626F62222C22726561736F6E223A2272616E646F6D227D7D');
INSERT INTO entry VALUES(14,2,X'6D657368',NULL,X'A82F2D49B9C0C3E003F97B2B4388B933',0,2,X'616E6E',1795219175000,X'7B226964223A226138326632643439623963306333653030336639376232623433383862393333222C227473223A313739353231393137353030303030303030302C22737663223A22736F6369616C222C22656D6974746572223A22616E6E222C22736967223A226A716C3333797745713939744476614E706C46676E36754F47456A444C424A766E4648374F39637166632F4772494965634D6C5772664F456E786C6E485233675656335A5A535433536962712B306D6C7371355A43673D3D222C22736F6369616C223A7B2274797065223A227465617365222C226163746F72223A22616E6E222C22746172676574223A22626F62222C22726561736F6E223A2272616E646F6D227D7D');
INSERT INTO entry VALUES(19,2,X'6D657368',NULL,X'5024CF27823931ACE1664E1D8FE33EC5',2,0,X'616E6E',1795219170000,X'7B226964223A223530323463663237383233393331616365313636346531643866653333656335222C227473223A313739353231393137303030303030303030302C22737663223A226F62736572766174696F6E222C226F62736572766174696F6E223A7B226F62736572766572223A22616E6E222C227375626A656374223A22626F62222C2274797065223A227374617475732D6368616E6765222C22696D706F7274616E6365223A322C226F6E6C696E655F7374617465223A224F4E4C494E45227D7D');
INSERT INTO entry VALUES(20,2,X'6D657368',NULL,X'998381FB94046ECE744DE931FAB5E0E4',2,0,X'616E6E',1795219169000,X'7B226964223A223939383338316662393430343665636537343464653933316661623565306534222C227473223A313739353231393136393030303030303030302C22737663223A226F62736572766174696F6E222C226F62736572766174696F6E223A7B226F62736572766572223A22616E6E222C227375626A656374223A22626F62222C2274797065223A227374617475732D6368616E6765222C22696D706F7274616E6365223A322C226F6E6C696E655F7374617465223A224F4E4C494E45227D7D');
INSERT INTO entry VALUES(21,2,X'6D657368',NULL,X'59ABF4F74B0F651AAB9F590D70F2F124',2,0,X'616E6E',1795219168000,X'7B226964223A223539616266346637346230663635316161623966353930643730663266313234222C227473223A313739353231393136383030303030303030302C22737663223A226F62736572766174696F6E222C226F62736572766174696F6E223A7B226F62736572766572223A22616E6E222C227375626A656374223A22626F62222C2274797065223A227374617475732D6368616E6765222C22696D706F7274616E6365223A322C226F6E6C696E655F7374617465223A224F4E4C494E45227D7D');
INSERT INTO entry VALUES(22,2,X'6D657368',NULL,X'DDF791FFD9DA4BD9FA333B597CE4BC05',6,2,X'616E6E',1795219196000,X'7B226964223A226464663739316666643964613462643966613333336235393763653462633035222C227473223A313739353231393139363030303030303030302C22737663223A22636865636B706F696E74222C22636865636B706F696E74223A7B2276657273696F6E223A322C227375626A656374223A22616E6E222C227375626A6563745F6964223A2243716B4834596D44416733666572456E534A415658484B433245626B785A347132336A6B3675346944785053222C226F62736572766174696F6E223A7B227265737461727473223A332C22746F74616C5F757074696D65223A38363430302C2273746172745F74696D65223A313730303030303030307D2C2261735F6F665F74696D65223A313739353231393139362C22726F756E64223A312C22766F7465725F696473223A5B2243716B4834596D44416733666572456E534A415658484B433245626B785A347132336A6B3675346944785053222C22445636557A616859794B4477467941334859544A7A6D44557A6D694E736F7A66706677795756784E6F367A58225D2C227369676E617475726573223A5B22353570515A48707A71686C67447052395056416C306243757033464C735550344D63364A4E4D6161714A354E33687A516E4B2B46376353413141574D4248632F6A485043456F414D46586C6F304C44537753655243513D3D222C224B4C41344735756C4675732B547A4865704F7345527644307A6254614E65784C7A654C54337368306775306D43387371304A5752504D66644449702F4961616C5A41327A4654447170567831744D54724465694842513D3D225D7D7D');
INSERT INTO entry VALUES(24,2,X'6D657368',NULL,X'FBB5F6BC674447D79102CB6EF0270F96',3,2,X'626F62',1795219198000,X'7B226964223A226662623566366263363734343437643739313032636236656630323730663936222C227473223A313739353231393139383030303030303030302C22737663223A226865792D7468657265222C22656D6974746572223A22626F62222C22736967223A22393439456935303156763545626B4652734555384C526D49786D5342327A74766A447161383463434676687A3435534C576F644F5A6C5A6B44364C45714A65654F737170744D4A6935485A386876326434746B7544673D3D222C226865795F7468657265223A7B2246726F6D223A22626F62222C225075626C69634B6579223A22535676707072554F7239482B736E5671533958746D36615A6958785058485576646E5A664C2B755A67374D3D222C224D6573684950223A22222C224944223A22445636557A616859794B4477467941334859544A7A6D44557A6D694E736F7A66706677795756784E6F367A58222C225369676E6174757265223A22227D7D');
INSERT INTO entry VALUES(25,2,X'6D657368',NULL,X'8C40C7812AAE8167231E1AC0031353BD',3,2,X'636174',1795219199000,X'7B226964223A223863343063373831326161653831363732333165316163303033313335336264222C227473223A313739353231393139393030303030303030302C22737663223A226865792D7468657265222C22656D6974746572223A22636174222C22736967223A226868352F4A4F334B764876506E70634359347267636F57314D4D4374437346673739704D6B6157563035316E6B624B6E676B647566776C6A4E34687A6B48776B416D6B4F4777306D5166397A38616179444E547043413D3D222C226865795F7468657265223A7B2246726F6D223A22636174222C225075626C69634B6579223A223261354F797A78386759736C676D48343934337A554A714F47426A504878476C5039734575513549574D673D222C224D6573684950223A22222C224944223A22356872375138335A7261564455367643335076347170444A6F6F656A425777656B7A4B45357042387143414B222C225369676E6174757265223A22227D7D');
INSERT INTO entry VALUES(26,1,X'7065657273',NULL,X'430E92537769A6772F17EDA894AADBCD',1,0,X'',1795219200000,X'7B226E616D65223A22626F62222C227265636F7264223A7B22706F696E7473223A342E302C2261745F6E73223A313739353231393230303030303030303030302C226F6666656E636573223A312C22776879223A226C697474657265643A203532206F66203630206576656E74732077657265206F66206E6F20757365222C2262795F6F70657261746F72223A66616C73657D7D');
CREATE UNIQUE INDEX entry_id_1 on entry (id) where lane = 1;
CREATE UNIQUE INDEX entry_id_2 on entry (id) where lane = 2;
CREATE UNIQUE INDEX entry_id_3 on entry (id) where lane = 3;
CREATE UNIQUE INDEX entry_id_4 on entry (id) where lane = 4;
CREATE INDEX entry_keeper on entry (pos) where lane = 0;
CREATE INDEX entry_node on entry (pos) where lane = 1;
CREATE UNIQUE INDEX entry_number on entry (stream, seq) where seq is not null;
CREATE INDEX entry_stream_1 on entry (stream, pos) where lane = 1;
CREATE INDEX entry_stream_3 on entry (stream, pos) where lane = 3;
CREATE INDEX entry_stream_4 on entry (stream, pos) where lane = 4;
DROP TABLE IF EXISTS guild;
CREATE TABLE guild (
    "user" text not null check (length("user") between 3 and 400),
    host text not null check (length(host) between 1 and 300),
    guild text not null check (length(guild) between 1 and 256),
    name text not null check (length(name) <= 256),
    at_ms integer not null,
    primary key ("user", host, guild)
) strict, without rowid;
DROP TABLE IF EXISTS guild_changes;
CREATE TABLE guild_changes (
    "user" text not null check (length("user") between 1 and 400),
    host text not null check (length(host) between 1 and 300),
    until_ms integer not null,
    primary key ("user", host)
) strict, without rowid;
DROP TABLE IF EXISTS handled;
CREATE TABLE handled (
    reader text not null check (length(reader) between 1 and 300),
    pos integer not null check (pos > 0),
    primary key (reader, pos)
) strict, without rowid;
DROP TABLE IF EXISTS handler;
CREATE TABLE handler (
    type text primary key not null check (length(type) between 1 and 255)
) strict, without rowid;
DROP TABLE IF EXISTS host;
CREATE TABLE host (
  host text primary key check (length(host) between 1 and 300),
  admit text not null check (admit in ('', 'allow', 'block')),
  tokens text not null check (tokens in ('', 'strict', 'plain'))
) strict, without rowid;
DROP TABLE IF EXISTS host_key;
CREATE TABLE host_key (
  "only" integer primary key check ("only" = 0),
  number integer not null check (number > 0),
  from_ms integer not null,
  old_until_ms integer not null
) strict, without rowid;
DROP TABLE IF EXISTS identity;
CREATE TABLE identity (
  name text primary key,
  value blob not null
) strict, without rowid;
INSERT INTO identity VALUES('cursor_key',X'41C937334511C88D88F9BA6CA6FF053783A74ECC3E8D5CEE1DB9A3F0461E7941');
INSERT INTO identity VALUES('epoch',X'1403F56B14F3E9DE08E819107DB83EE6');
INSERT INTO identity VALUES('last_token',X'18E9E659D5F6000001A1FB6718007FE783D308E9082F6DCA');
INSERT INTO identity VALUES('node',X'D0D3810A26183D52EEC1CA3DCECB9DBCCE49EA53D296D511DCC9C9A9E07FDD30');
DROP TABLE IF EXISTS invite;
CREATE TABLE invite (
    direction text not null check (direction in ('in', 'out')),
    host text not null check (length(host) between 1 and 300),
    invite text not null check (length(invite) between 1 and 256),
    inviter text not null check (length(inviter) between 3 and 400),
    "user" text not null check (length("user") between 3 and 400),
    conversation text not null check (length(conversation) <= 256),
    name text not null check (length(name) <= 256),
    answer text not null check (answer in ('', 'accepted', 'declined')),
    at_ms integer not null,
    primary key (direction, host, invite)
) strict, without rowid;
CREATE INDEX invite_made on invite (inviter, at_ms, host, invite) where direction = 'out';
CREATE INDEX invite_open on invite ("user", at_ms, host, invite) where direction = 'in' and answer = '';
DROP TABLE IF EXISTS "key";
CREATE TABLE "key" (
    name text not null primary key check (length(name) between 1 and 64),
    "key" blob not null check (length("key") = 32),
    id text check (length(id) between 1 and 64),
    old blob not null check (length(old) % 32 = 0 and length(old) <= 512),
    source text not null check (source in (
        'own', 'operator', 'hey-there', 'answer', 'proof', 'introduction', 'ping', 'admitted',
        'configured'
    )),
    at_ms integer not null,
    dropped integer not null check (dropped >= 0)
) strict, without rowid;
INSERT INTO "key" VALUES('ann',X'3C8CC81A9FE0F21469B4DEE92828584E3C63887C491C6D91C05AE25F228D0A5B','CqkH4YmDAg3ferEnSJAVXHKC2EbkxZ4q23jk6u4iDxPS',X'','operator',1795219200000,0);
INSERT INTO "key" VALUES('bob',X'495BE9A6B50EAFD1FEB2756A4BD5ED9BA699897C4F5C752F76765F2FEB9983B3','DV6UzahYyKDwFyA3HYTJzmDUzmiNsozfpfwyWVxNo6zX',X'','operator',1795219200000,0);
INSERT INTO "key" VALUES('cat',X'D9AE4ECB3C7C818B258261F8F78DF3509A8E1818CF1F11A53FDB04B90E4858C8','5hr7Q83ZraVDU6vC3Pv4qpDJooejBWwekzKE5pB8qCAK',X'','configured',1795219200000,1);
INSERT INTO "key" VALUES('second',X'D0D3810A26183D52EEC1CA3DCECB9DBCCE49EA53D296D511DCC9C9A9E07FDD30','64NNLoETTZAJFiBpkeQtBpXpdd7cWofryrSb8nFGro2K',X'','own',1795219200000,0);
DROP TABLE IF EXISTS link_in;
CREATE TABLE link_in (
  host text primary key check (length(host) between 1 and 250),
  places blob not null check (length(places) <= 4096),
  at_ms integer not null,
  refused_seq integer not null check (refused_seq >= 0),
  refused_code text not null check (length(refused_code) <= 64),
  refused_text text not null check (length(refused_text) <= 1000)
) strict, without rowid;
DROP TABLE IF EXISTS link_out;
CREATE TABLE link_out (
  host text primary key check (length(host) between 1 and 250),
  last_seq integer not null check (last_seq > 0),
  spans blob not null check (length(spans) <= 4096)
) strict, without rowid;
DROP TABLE IF EXISTS member;
CREATE TABLE member (
  conversation blob not null check (length(conversation) = 16),
  "user" blob not null check (length("user") = 16),
  is_in integer not null check (is_in between 0 and 1),
  role integer not null check (role between 0 and 1),
  period integer not null check (period > 0),
  event blob not null check (length(event) = 16),
  added_by blob not null check (length(added_by) in (0, 16)),
  primary key (conversation, "user")
) strict, without rowid;
CREATE INDEX member_in on member (conversation, "user") where is_in = 1;
DROP TABLE IF EXISTS outbox;
CREATE TABLE outbox (
  reader text primary key check (length(reader) between 1 and 300),
  lane integer not null check (lane between 1 and 4),
  streams blob not null check (length(streams) <= 65536),
  acknowledged integer not null check (acknowledged >= 0),
  attempts integer not null check (attempts >= 0),
  failing_since_ms integer not null,
  retry_ms integer not null,
  error text not null check (length(error) <= 1000)
) strict, without rowid;
DROP TABLE IF EXISTS peer;
CREATE TABLE peer (
    name text primary key not null check (length(name) between 1 and 64),
    url text not null check (length(url) <= 300),
    origin text not null check (origin in ('configured', 'met', 'heard', 'told')),
    kind text not null check (kind in ('', 'postbox', 'nara')),
    version text not null check (length(version) <= 200),
    memory_mode text not null check (length(memory_mode) <= 200),
    uptime_s integer not null,
    rtt_ms real,
    last_contact_ns integer not null,
    cursor_ns integer not null,
    told_ns integer not null
) strict, without rowid;
INSERT INTO peer VALUES('bob','http://100.64.0.8:7433','heard','','','',0,NULL,0,0,1795219200000000000);
INSERT INTO peer VALUES('cat','http://100.64.0.7:7433','configured','postbox','1.2.3','hog',3600,12.5,1795219200000000000,1795219195000000000,0);
DROP TABLE IF EXISTS peer_key;
CREATE TABLE peer_key (
  host text primary key check (length(host) between 1 and 250),
  keys blob not null check (length(keys) <= 4096),
  capabilities text not null check (length(capabilities) <= 1024),
  fetched_at_ms integer not null
) strict, without rowid;
DROP TABLE IF EXISTS peer_record;
CREATE TABLE peer_record (
    name text primary key not null check (length(name) between 1 and 64),
    points real not null check (points >= 0),
    at_ns integer not null,
    offences integer not null check (offences >= 0),
    why text not null check (length(why) <= 300),
    by_operator integer not null check (by_operator in (0, 1))
) strict, without rowid;
INSERT INTO peer_record VALUES('bob',4.0,1795219200000000000,1,'littered: 52 of 60 events were of no use',0);
DROP TABLE IF EXISTS period;
CREATE TABLE period (
  "user" blob not null check (length("user") = 16),
  conversation blob not null check (length(conversation) = 16),
  number integer not null check (number > 0),
  joined blob not null check (length(joined) = 16),
  "left" blob not null check (length("left") in (0, 16)),
  sees_all integer not null check (sees_all between 0 and 1),
  primary key ("user", conversation, number)
) strict, without rowid;
CREATE INDEX period_open on period ("user", conversation) where "left" = x'';
DROP TABLE IF EXISTS picture;
CREATE TABLE picture (
  sha256 blob primary key check (length(sha256) = 32),
  png blob not null check (length(png) between 1 and 65536)
) strict;
DROP TABLE IF EXISTS picture_use;
CREATE TABLE picture_use (
  sha256 blob primary key check (length(sha256) = 32),
  users integer not null check (users > 0)
) strict, without rowid;
DROP TABLE IF EXISTS place;
CREATE TABLE place (
    url text not null primary key check (length(url) > 0),
    name text not null
) strict, without rowid;
INSERT INTO place VALUES('http://100.64.0.7:7433','cat');
DROP TABLE IF EXISTS queue;
CREATE TABLE queue (
  device blob primary key check (length(device) = 16),
  next_number integer not null check (next_number > 0)
) strict, without rowid;
DROP TABLE IF EXISTS quota;
CREATE TABLE quota (
    "user" text not null check (length("user") <= 400),
    host text not null check (length(host) between 1 and 300),
    guilds integer not null check (guilds >= 0),
    invites_ms integer not null,
    primary key ("user", host)
) strict, without rowid;
DROP TABLE IF EXISTS reaction;
CREATE TABLE reaction (
  message blob not null check (length(message) = 16),
  "user" blob not null check (length("user") = 16),
  reaction text not null check (length(reaction) between 1 and 64),
  event blob not null check (length(event) = 16),
  primary key (message, "user", reaction)
) strict, without rowid;
DROP TABLE IF EXISTS refused;
CREATE TABLE refused (
  device blob primary key check (length(device) = 16),
  refusals blob not null check (length(refusals) <= 131072)
) strict, without rowid;
DROP TABLE IF EXISTS schema;
CREATE TABLE schema (name text primary key, version integer not null, compatible integer not null) strict, without rowid;
INSERT INTO schema VALUES('clients',1,1);
INSERT INTO schema VALUES('hosts',5,1);
INSERT INTO schema VALUES('kernel',2,1);
INSERT INTO schema VALUES('mesh',1,1);
INSERT INTO schema VALUES('trust',3,3);
DROP TABLE IF EXISTS tally;
CREATE TABLE tally (
    what text not null primary key,
    count integer not null check (count >= 0)
) strict, without rowid;
INSERT INTO tally VALUES('told',0);
INSERT INTO tally VALUES('waiting',1);
DROP TABLE IF EXISTS tomb;
CREATE TABLE tomb (
  id blob primary key check (length(id) = 16),
  pos integer not null check (pos > 0),
  at_ms integer not null
) strict, without rowid;
CREATE INDEX tomb_age on tomb (at_ms);
DROP TABLE IF EXISTS voter;
CREATE TABLE voter (
    id text not null primary key check (length(id) between 1 and 64),
    name text not null
) strict, without rowid;
INSERT INTO voter VALUES('64NNLoETTZAJFiBpkeQtBpXpdd7cWofryrSb8nFGro2K','second');
INSERT INTO voter VALUES('CqkH4YmDAg3ferEnSJAVXHKC2EbkxZ4q23jk6u4iDxPS','ann');
INSERT INTO voter VALUES('DV6UzahYyKDwFyA3HYTJzmDUzmiNsozfpfwyWVxNo6zX','bob');
DROP TABLE IF EXISTS waiting;
CREATE TABLE waiting (
    name text not null primary key check (length(name) between 1 and 64),
    "key" blob not null check (length("key") = 32),
    id text check (length(id) between 1 and 64),
    address text not null check (length(address) <= 64),
    at_ms integer not null
) strict, without rowid;
INSERT INTO waiting VALUES('mallory',X'6201E99ACDD90892D0721230C72671F167877E1B4AE270A023FEE53B6E881018',NULL,'192.0.2.7',1795219200000);
DROP TABLE IF EXISTS watermark;
CREATE TABLE watermark (
  conversation blob not null check (length(conversation) = 16),
  "user" blob not null check (length("user") = 16),
  kind integer not null check (kind in (6, 16)),
  seq integer not null check (seq > 0),
  event blob not null check (length(event) = 16),
  primary key (conversation, "user", kind)
) strict, without rowid;
COMMIT TRANSACTION;
