SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
COMMENT ON SCHEMA public IS 'standard public schema';
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.account (
    "user" bytea NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    display text NOT NULL COLLATE pg_catalog."C",
    picture bytea NOT NULL,
    name_event bytea NOT NULL,
    picture_event bytea NOT NULL,
    conversations bytea NOT NULL,
    at_ms bigint NOT NULL,
    CONSTRAINT account_conversations_check CHECK ((((octet_length(conversations) % 16) = 0) AND (octet_length(conversations) <= 16000))),
    CONSTRAINT account_display_check CHECK ((length(display) <= 256)),
    CONSTRAINT account_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT account_name_event_check CHECK ((octet_length(name_event) = ANY (ARRAY[0, 16]))),
    CONSTRAINT account_picture_check CHECK ((octet_length(picture) = ANY (ARRAY[0, 32]))),
    CONSTRAINT account_picture_event_check CHECK ((octet_length(picture_event) = ANY (ARRAY[0, 16]))),
    CONSTRAINT account_user_check CHECK ((octet_length("user") = 16))
);
CREATE TABLE public.added (
    "user" bytea NOT NULL,
    added_by bytea NOT NULL,
    conversations bigint NOT NULL,
    CONSTRAINT added_added_by_check CHECK ((octet_length(added_by) = 16)),
    CONSTRAINT added_conversations_check CHECK ((conversations > 0)),
    CONSTRAINT added_user_check CHECK ((octet_length("user") = 16))
);
CREATE TABLE public.changed_message (
    message bytea NOT NULL,
    edit bytea NOT NULL,
    deletion bytea NOT NULL,
    reactions bigint NOT NULL,
    CONSTRAINT changed_message_deletion_check CHECK ((octet_length(deletion) = ANY (ARRAY[0, 16]))),
    CONSTRAINT changed_message_edit_check CHECK ((octet_length(edit) = ANY (ARRAY[0, 16]))),
    CONSTRAINT changed_message_message_check CHECK ((octet_length(message) = 16)),
    CONSTRAINT changed_message_reactions_check CHECK (((reactions >= 0) AND (reactions <= 1000)))
);
CREATE TABLE public.consent (
    "user" text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL COLLATE pg_catalog."C",
    at_ms bigint NOT NULL,
    CONSTRAINT consent_host_check CHECK (((length(host) >= 1) AND (length(host) <= 250))),
    CONSTRAINT consent_user_check CHECK (((length("user") >= 1) AND (length("user") <= 400)))
);
CREATE TABLE public.contact (
    host text NOT NULL COLLATE pg_catalog."C",
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    view bytea NOT NULL,
    CONSTRAINT contact_host_check CHECK (((length(host) >= 1) AND (length(host) <= 250))),
    CONSTRAINT contact_view_check CHECK ((octet_length(view) <= 4096))
);
CREATE TABLE public.conversation (
    conversation bytea NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    name_event bytea NOT NULL,
    members bigint NOT NULL,
    owners bigint NOT NULL,
    at_ms bigint NOT NULL,
    CONSTRAINT conversation_check CHECK (((owners >= 0) AND (owners <= members))),
    CONSTRAINT conversation_conversation_check CHECK ((octet_length(conversation) = 16)),
    CONSTRAINT conversation_members_check CHECK (((members >= 0) AND (members <= 1000))),
    CONSTRAINT conversation_name_check CHECK ((length(name) <= 256)),
    CONSTRAINT conversation_name_event_check CHECK ((octet_length(name_event) = 16))
);
CREATE TABLE public.coordinate (
    name text NOT NULL COLLATE pg_catalog."C",
    x double precision NOT NULL,
    y double precision NOT NULL,
    height double precision NOT NULL,
    error double precision NOT NULL,
    CONSTRAINT coordinate_error_check CHECK ((error >= (0)::double precision)),
    CONSTRAINT coordinate_height_check CHECK ((height >= (0)::double precision)),
    CONSTRAINT coordinate_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64)))
);
CREATE TABLE public.dead (
    reader text NOT NULL COLLATE pg_catalog."C",
    pos bigint NOT NULL,
    lane smallint NOT NULL,
    stream bytea NOT NULL,
    id bytea NOT NULL,
    buried_ms bigint NOT NULL,
    attempts bigint NOT NULL,
    error text NOT NULL COLLATE pg_catalog."C",
    is_revived smallint NOT NULL,
    CONSTRAINT dead_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT dead_error_check CHECK ((length(error) <= 1000)),
    CONSTRAINT dead_id_check CHECK ((octet_length(id) = 16)),
    CONSTRAINT dead_is_revived_check CHECK (((is_revived >= 0) AND (is_revived <= 1))),
    CONSTRAINT dead_lane_check CHECK (((lane >= 1) AND (lane <= 4))),
    CONSTRAINT dead_pos_check CHECK ((pos > 0)),
    CONSTRAINT dead_reader_check CHECK (((length(reader) >= 1) AND (length(reader) <= 300))),
    CONSTRAINT dead_stream_check CHECK ((octet_length(stream) <= 255))
);
CREATE TABLE public.device (
    "user" bytea NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    id bytea NOT NULL,
    made_ms bigint NOT NULL,
    seen_ms bigint NOT NULL,
    revoked_ms bigint NOT NULL,
    CONSTRAINT device_id_check CHECK ((octet_length(id) = 16)),
    CONSTRAINT device_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT device_revoked_ms_check CHECK ((revoked_ms >= 0)),
    CONSTRAINT device_user_check CHECK ((octet_length("user") = 16))
);
CREATE TABLE public.device_place (
    device bytea NOT NULL,
    acked_pos bigint NOT NULL,
    CONSTRAINT device_place_acked_pos_check CHECK ((acked_pos >= 0)),
    CONSTRAINT device_place_device_check CHECK ((octet_length(device) = 16))
);
CREATE TABLE public.done (
    reader text NOT NULL COLLATE pg_catalog."C",
    at_ms bigint NOT NULL,
    pos bigint NOT NULL,
    CONSTRAINT done_pos_check CHECK ((pos > 0)),
    CONSTRAINT done_reader_check CHECK (((length(reader) >= 1) AND (length(reader) <= 300)))
);
CREATE TABLE public.draft (
    n bigint NOT NULL,
    id bytea NOT NULL,
    host text NOT NULL COLLATE pg_catalog."C",
    type_url text NOT NULL COLLATE pg_catalog."C",
    value bytea NOT NULL,
    at_ms bigint DEFAULT 0 NOT NULL,
    problem text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT draft_host_check CHECK (((length(host) >= 1) AND (length(host) <= 300))),
    CONSTRAINT draft_id_check CHECK ((octet_length(id) = 16)),
    CONSTRAINT draft_n_check CHECK ((n > 0)),
    CONSTRAINT draft_problem_check CHECK ((length(problem) <= 1000)),
    CONSTRAINT draft_type_url_check CHECK (((length(type_url) >= 1) AND (length(type_url) <= 512))),
    CONSTRAINT draft_value_check CHECK ((octet_length(value) <= 1000000))
);
ALTER TABLE public.draft ALTER COLUMN n ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.draft_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.entry (
    pos bigint NOT NULL,
    lane smallint NOT NULL,
    stream bytea NOT NULL,
    seq bigint,
    id bytea NOT NULL,
    kind bigint NOT NULL,
    flags bigint NOT NULL,
    author bytea NOT NULL,
    at_ms bigint NOT NULL,
    body bytea,
    CONSTRAINT entry_author_check CHECK ((octet_length(author) <= 256)),
    CONSTRAINT entry_body_check CHECK ((octet_length(body) <= 1048576)),
    CONSTRAINT entry_id_check CHECK ((octet_length(id) = 16)),
    CONSTRAINT entry_lane_check CHECK (((lane >= 0) AND (lane <= 4))),
    CONSTRAINT entry_pos_check CHECK ((pos > 0)),
    CONSTRAINT entry_seq_check CHECK ((seq > 0)),
    CONSTRAINT entry_stream_check CHECK ((octet_length(stream) <= 255))
);
CREATE TABLE public.guild (
    "user" text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL COLLATE pg_catalog."C",
    guild text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    at_ms bigint NOT NULL,
    CONSTRAINT guild_guild_check CHECK (((length(guild) >= 1) AND (length(guild) <= 256))),
    CONSTRAINT guild_host_check CHECK (((length(host) >= 1) AND (length(host) <= 300))),
    CONSTRAINT guild_name_check CHECK ((length(name) <= 256)),
    CONSTRAINT guild_user_check CHECK (((length("user") >= 3) AND (length("user") <= 400)))
);
CREATE TABLE public.guild_changes (
    "user" text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL COLLATE pg_catalog."C",
    until_ms bigint NOT NULL,
    CONSTRAINT guild_changes_host_check CHECK (((length(host) >= 1) AND (length(host) <= 300))),
    CONSTRAINT guild_changes_user_check CHECK (((length("user") >= 1) AND (length("user") <= 400)))
);
CREATE TABLE public.handled (
    reader text NOT NULL COLLATE pg_catalog."C",
    pos bigint NOT NULL,
    CONSTRAINT handled_pos_check CHECK ((pos > 0)),
    CONSTRAINT handled_reader_check CHECK (((length(reader) >= 1) AND (length(reader) <= 300)))
);
CREATE TABLE public.handler (
    type text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT handler_type_check CHECK (((length(type) >= 1) AND (length(type) <= 255)))
);
CREATE TABLE public.host (
    host text NOT NULL COLLATE pg_catalog."C",
    admit text NOT NULL COLLATE pg_catalog."C",
    tokens text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT host_admit_check CHECK ((admit = ANY (ARRAY[''::text, 'allow'::text, 'block'::text]))),
    CONSTRAINT host_host_check CHECK (((length(host) >= 1) AND (length(host) <= 300))),
    CONSTRAINT host_tokens_check CHECK ((tokens = ANY (ARRAY[''::text, 'strict'::text, 'plain'::text])))
);
CREATE TABLE public.host_key (
    "only" bigint NOT NULL,
    number bigint NOT NULL,
    from_ms bigint NOT NULL,
    old_until_ms bigint NOT NULL,
    CONSTRAINT host_key_number_check CHECK ((number > 0)),
    CONSTRAINT host_key_only_check CHECK (("only" = 0))
);
CREATE TABLE public.identity (
    name text NOT NULL COLLATE pg_catalog."C",
    value bytea NOT NULL
);
CREATE TABLE public.invite (
    direction text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL COLLATE pg_catalog."C",
    invite text NOT NULL COLLATE pg_catalog."C",
    inviter text NOT NULL COLLATE pg_catalog."C",
    "user" text NOT NULL COLLATE pg_catalog."C",
    conversation text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    answer text NOT NULL COLLATE pg_catalog."C",
    at_ms bigint NOT NULL,
    CONSTRAINT invite_answer_check CHECK ((answer = ANY (ARRAY[''::text, 'accepted'::text, 'declined'::text]))),
    CONSTRAINT invite_conversation_check CHECK ((length(conversation) <= 256)),
    CONSTRAINT invite_direction_check CHECK ((direction = ANY (ARRAY['in'::text, 'out'::text]))),
    CONSTRAINT invite_host_check CHECK (((length(host) >= 1) AND (length(host) <= 300))),
    CONSTRAINT invite_invite_check CHECK (((length(invite) >= 1) AND (length(invite) <= 256))),
    CONSTRAINT invite_inviter_check CHECK (((length(inviter) >= 3) AND (length(inviter) <= 400))),
    CONSTRAINT invite_name_check CHECK ((length(name) <= 256)),
    CONSTRAINT invite_user_check CHECK (((length("user") >= 3) AND (length("user") <= 400)))
);
CREATE TABLE public.key (
    name text NOT NULL COLLATE pg_catalog."C",
    key bytea NOT NULL,
    id text COLLATE pg_catalog."C",
    old bytea NOT NULL,
    source text NOT NULL COLLATE pg_catalog."C",
    at_ms bigint NOT NULL,
    dropped bigint DEFAULT 0 NOT NULL,
    CONSTRAINT key_dropped_check CHECK ((dropped >= 0)),
    CONSTRAINT key_id_check CHECK (((length(id) >= 1) AND (length(id) <= 64))),
    CONSTRAINT key_key_check CHECK ((octet_length(key) = 32)),
    CONSTRAINT key_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT key_old_check CHECK ((((octet_length(old) % 32) = 0) AND (octet_length(old) <= 512))),
    CONSTRAINT key_source CHECK ((source = ANY (ARRAY['own'::text, 'operator'::text, 'hey-there'::text, 'answer'::text, 'proof'::text, 'introduction'::text, 'ping'::text, 'admitted'::text, 'configured'::text])))
);
CREATE TABLE public.lease (
    name text NOT NULL COLLATE pg_catalog."C",
    holder bytea NOT NULL,
    server timestamp with time zone NOT NULL,
    is_released boolean NOT NULL
);
CREATE TABLE public.link_in (
    host text NOT NULL COLLATE pg_catalog."C",
    places bytea NOT NULL,
    at_ms bigint NOT NULL,
    refused_seq bigint NOT NULL,
    refused_code text NOT NULL COLLATE pg_catalog."C",
    refused_text text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT link_in_host_check CHECK (((length(host) >= 1) AND (length(host) <= 250))),
    CONSTRAINT link_in_places_check CHECK ((octet_length(places) <= 4096)),
    CONSTRAINT link_in_refused_code_check CHECK ((length(refused_code) <= 64)),
    CONSTRAINT link_in_refused_seq_check CHECK ((refused_seq >= 0)),
    CONSTRAINT link_in_refused_text_check CHECK ((length(refused_text) <= 1000))
);
CREATE TABLE public.link_out (
    host text NOT NULL COLLATE pg_catalog."C",
    last_seq bigint NOT NULL,
    spans bytea NOT NULL,
    CONSTRAINT link_out_host_check CHECK (((length(host) >= 1) AND (length(host) <= 250))),
    CONSTRAINT link_out_last_seq_check CHECK ((last_seq > 0)),
    CONSTRAINT link_out_spans_check CHECK ((octet_length(spans) <= 4096))
);
CREATE TABLE public.member (
    conversation bytea NOT NULL,
    "user" bytea NOT NULL,
    is_in bigint NOT NULL,
    role bigint NOT NULL,
    period bigint NOT NULL,
    event bytea NOT NULL,
    added_by bytea NOT NULL,
    CONSTRAINT member_added_by_check CHECK ((octet_length(added_by) = ANY (ARRAY[0, 16]))),
    CONSTRAINT member_conversation_check CHECK ((octet_length(conversation) = 16)),
    CONSTRAINT member_event_check CHECK ((octet_length(event) = 16)),
    CONSTRAINT member_is_in_check CHECK (((is_in >= 0) AND (is_in <= 1))),
    CONSTRAINT member_period_check CHECK ((period > 0)),
    CONSTRAINT member_role_check CHECK (((role >= 0) AND (role <= 1))),
    CONSTRAINT member_user_check CHECK ((octet_length("user") = 16))
);
CREATE TABLE public.news (
    turn bigint NOT NULL,
    head bigint NOT NULL,
    data bytea
);
CREATE TABLE public.outbox (
    reader text NOT NULL COLLATE pg_catalog."C",
    lane smallint NOT NULL,
    streams bytea NOT NULL,
    acknowledged bigint NOT NULL,
    attempts bigint NOT NULL,
    failing_since_ms bigint NOT NULL,
    retry_ms bigint NOT NULL,
    error text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT outbox_acknowledged_check CHECK ((acknowledged >= 0)),
    CONSTRAINT outbox_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT outbox_error_check CHECK ((length(error) <= 1000)),
    CONSTRAINT outbox_lane_check CHECK (((lane >= 1) AND (lane <= 4))),
    CONSTRAINT outbox_reader_check CHECK (((length(reader) >= 1) AND (length(reader) <= 300))),
    CONSTRAINT outbox_streams_check CHECK ((octet_length(streams) <= 65536))
);
CREATE TABLE public.peer (
    name text NOT NULL COLLATE pg_catalog."C",
    url text NOT NULL COLLATE pg_catalog."C",
    origin text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    version text NOT NULL COLLATE pg_catalog."C",
    memory_mode text NOT NULL COLLATE pg_catalog."C",
    uptime_s bigint NOT NULL,
    rtt_ms double precision,
    last_contact_ns bigint NOT NULL,
    cursor_ns bigint NOT NULL,
    told_ns bigint NOT NULL,
    CONSTRAINT peer_kind_check CHECK ((kind = ANY (ARRAY[''::text, 'postbox'::text, 'nara'::text]))),
    CONSTRAINT peer_memory_mode_check CHECK ((length(memory_mode) <= 200)),
    CONSTRAINT peer_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT peer_origin_check CHECK ((origin = ANY (ARRAY['configured'::text, 'met'::text, 'heard'::text, 'told'::text]))),
    CONSTRAINT peer_url_check CHECK ((length(url) <= 300)),
    CONSTRAINT peer_version_check CHECK ((length(version) <= 200))
);
CREATE TABLE public.peer_key (
    host text NOT NULL COLLATE pg_catalog."C",
    keys bytea NOT NULL,
    capabilities text NOT NULL COLLATE pg_catalog."C",
    fetched_at_ms bigint NOT NULL,
    CONSTRAINT peer_key_capabilities_check CHECK ((length(capabilities) <= 1024)),
    CONSTRAINT peer_key_host_check CHECK (((length(host) >= 1) AND (length(host) <= 250))),
    CONSTRAINT peer_key_keys_check CHECK ((octet_length(keys) <= 4096))
);
CREATE TABLE public.peer_record (
    name text NOT NULL COLLATE pg_catalog."C",
    points double precision NOT NULL,
    at_ns bigint NOT NULL,
    offences bigint NOT NULL,
    why text NOT NULL COLLATE pg_catalog."C",
    by_operator bigint NOT NULL,
    CONSTRAINT peer_record_by_operator_check CHECK ((by_operator = ANY (ARRAY[(0)::bigint, (1)::bigint]))),
    CONSTRAINT peer_record_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT peer_record_offences_check CHECK ((offences >= 0)),
    CONSTRAINT peer_record_points_check CHECK ((points >= (0)::double precision)),
    CONSTRAINT peer_record_why_check CHECK ((length(why) <= 300))
);
CREATE TABLE public.period (
    "user" bytea NOT NULL,
    conversation bytea NOT NULL,
    number bigint NOT NULL,
    joined bytea NOT NULL,
    "left" bytea NOT NULL,
    sees_all bigint NOT NULL,
    CONSTRAINT period_conversation_check CHECK ((octet_length(conversation) = 16)),
    CONSTRAINT period_joined_check CHECK ((octet_length(joined) = 16)),
    CONSTRAINT period_left_check CHECK ((octet_length("left") = ANY (ARRAY[0, 16]))),
    CONSTRAINT period_number_check CHECK ((number > 0)),
    CONSTRAINT period_sees_all_check CHECK (((sees_all >= 0) AND (sees_all <= 1))),
    CONSTRAINT period_user_check CHECK ((octet_length("user") = 16))
);
CREATE TABLE public.picture (
    sha256 bytea NOT NULL,
    png bytea NOT NULL,
    CONSTRAINT picture_png_check CHECK (((octet_length(png) >= 1) AND (octet_length(png) <= 65536))),
    CONSTRAINT picture_sha256_check CHECK ((octet_length(sha256) = 32))
);
CREATE TABLE public.picture_use (
    sha256 bytea NOT NULL,
    users bigint NOT NULL,
    CONSTRAINT picture_use_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT picture_use_users_check CHECK ((users > 0))
);
CREATE TABLE public.place (
    url text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT place_url_check CHECK ((length(url) > 0))
);
CREATE TABLE public.queue (
    device bytea NOT NULL,
    next_number bigint NOT NULL,
    CONSTRAINT queue_device_check CHECK ((octet_length(device) = 16)),
    CONSTRAINT queue_next_number_check CHECK ((next_number > 0))
);
CREATE TABLE public.quota (
    "user" text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL COLLATE pg_catalog."C",
    guilds bigint NOT NULL,
    invites_ms bigint NOT NULL,
    CONSTRAINT quota_guilds_check CHECK ((guilds >= 0)),
    CONSTRAINT quota_host_check CHECK (((length(host) >= 1) AND (length(host) <= 300))),
    CONSTRAINT quota_user_check CHECK ((length("user") <= 400))
);
CREATE TABLE public.reaction (
    message bytea NOT NULL,
    "user" bytea NOT NULL,
    reaction text NOT NULL COLLATE pg_catalog."C",
    event bytea NOT NULL,
    CONSTRAINT reaction_event_check CHECK ((octet_length(event) = 16)),
    CONSTRAINT reaction_message_check CHECK ((octet_length(message) = 16)),
    CONSTRAINT reaction_reaction_check CHECK (((length(reaction) >= 1) AND (length(reaction) <= 64))),
    CONSTRAINT reaction_user_check CHECK ((octet_length("user") = 16))
);
CREATE TABLE public.refused (
    device bytea NOT NULL,
    refusals bytea NOT NULL,
    CONSTRAINT refused_device_check CHECK ((octet_length(device) = 16)),
    CONSTRAINT refused_refusals_check CHECK ((octet_length(refusals) <= 131072))
);
CREATE TABLE public.schema (
    name text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    compatible bigint NOT NULL
);
CREATE TABLE public.tally (
    what text NOT NULL COLLATE pg_catalog."C",
    count bigint NOT NULL,
    CONSTRAINT tally_count_check CHECK ((count >= 0))
);
CREATE TABLE public.tomb (
    id bytea NOT NULL,
    pos bigint NOT NULL,
    at_ms bigint NOT NULL,
    CONSTRAINT tomb_id_check CHECK ((octet_length(id) = 16)),
    CONSTRAINT tomb_pos_check CHECK ((pos > 0))
);
CREATE SEQUENCE public.turn
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.voter (
    id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT voter_id_check CHECK (((length(id) >= 1) AND (length(id) <= 64)))
);
CREATE TABLE public.waiting (
    name text NOT NULL COLLATE pg_catalog."C",
    key bytea NOT NULL,
    id text COLLATE pg_catalog."C",
    address text NOT NULL COLLATE pg_catalog."C",
    at_ms bigint NOT NULL,
    CONSTRAINT waiting_address_check CHECK ((length(address) <= 64)),
    CONSTRAINT waiting_id_check CHECK (((length(id) >= 1) AND (length(id) <= 64))),
    CONSTRAINT waiting_key_check CHECK ((octet_length(key) = 32)),
    CONSTRAINT waiting_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64)))
);
CREATE TABLE public.watermark (
    conversation bytea NOT NULL,
    "user" bytea NOT NULL,
    kind bigint NOT NULL,
    seq bigint NOT NULL,
    event bytea NOT NULL,
    CONSTRAINT watermark_conversation_check CHECK ((octet_length(conversation) = 16)),
    CONSTRAINT watermark_event_check CHECK ((octet_length(event) = 16)),
    CONSTRAINT watermark_kind_check CHECK ((kind = ANY (ARRAY[(6)::bigint, (16)::bigint]))),
    CONSTRAINT watermark_seq_check CHECK ((seq > 0)),
    CONSTRAINT watermark_user_check CHECK ((octet_length("user") = 16))
);
INSERT INTO public.coordinate VALUES ('second', -0.5417513699905196, -0.7231471503480686, 0.18051525169359123, 0.9199879923082246);
INSERT INTO public.entry VALUES (1, 1, '\x6b657973', NULL, '\x01a1fb67180072fd9b193a1dc3675c62', 1, 0, '\x', 1795219200000, '\x7b226e616d65223a227365636f6e64222c226b6579223a22304e4f424369595950564c7577636f397a737564764d354a366c50536c745552334d6e4a7165422f3354413d222c226964223a2236344e4e4c6f4554545a414a466942706b6551744270587064643763576f667279725362386e4647726f324b222c226f6c64223a5b5d2c22736f75726365223a226f776e222c2261745f6d73223a313739353231393230303030302c2264726f70706564223a307d');
INSERT INTO public.entry VALUES (2, 1, '\x6b657973', NULL, '\x01a1fb671800746ea4063988acaa3710', 1, 0, '\x', 1795219200000, '\x7b226e616d65223a22616e6e222c226b6579223a2250497a4947702f6738685270744e37704b436859546a786a6948784a484732527746726958794b4e436c733d222c226964223a2243716b4834596d44416733666572456e534a415658484b433245626b785a347132336a6b3675346944785053222c226f6c64223a5b5d2c22736f75726365223a226f70657261746f72222c2261745f6d73223a313739353231393230303030302c2264726f70706564223a307d');
INSERT INTO public.entry VALUES (3, 1, '\x6b657973', NULL, '\x01a1fb6718007f2d9292008d4712c0f9', 1, 0, '\x', 1795219200000, '\x7b226e616d65223a22626f62222c226b6579223a22535676707072554f7239482b736e5671533958746d36615a6958785058485576646e5a664c2b755a67374d3d222c226964223a22445636557a616859794b4477467941334859544a7a6d44557a6d694e736f7a66706677795756784e6f367a58222c226f6c64223a5b5d2c22736f75726365223a226f70657261746f72222c2261745f6d73223a313739353231393230303030302c2264726f70706564223a307d');
INSERT INTO public.entry VALUES (4, 1, '\x6b657973', NULL, '\x8300df2b3ac34a3583329df3f5efd37b', 1, 0, '\x', 1795219200000, '\x7b226e616d65223a22636174222c226b6579223a2244395a396c6d697837514f33334761652f6b76476e317a6c52714d346d544a7646754b333179664a5745553d222c226964223a6e756c6c2c226f6c64223a5b5d2c22736f75726365223a22616e73776572222c2261745f6d73223a313739353231393230303030302c2264726f70706564223a307d');
INSERT INTO public.entry VALUES (7, 1, '\x6b657973', NULL, '\x01a1fb67180079d590b4dadf9ea75108', 1, 0, '\x', 1795219200000, '\x7b226e616d65223a22636174222c226b6579223a223261354f797a78386759736c676d48343934337a554a714f47426a504878476c5039734575513549574d673d222c226964223a22356872375138335a7261564455367643335076347170444a6f6f656a425777656b7a4b45357042387143414b222c226f6c64223a5b5d2c22736f75726365223a22636f6e66696775726564222c2261745f6d73223a313739353231393230303030302c2264726f70706564223a317d');
INSERT INTO public.entry VALUES (8, 1, '\x6b657973', NULL, '\x01a1fb671800721aa924da81f121996d', 2, 0, '\x', 1795219200000, '\x7b226e616d65223a226d616c6c6f7279222c226b6579223a22596748706d73335a434a4c516368497778795a78385765486668744b346e4367492f376c4f3236494542673d222c226964223a6e756c6c2c2261646472657373223a223139322e302e322e37222c2261745f6d73223a313739353231393230303030307d');
INSERT INTO public.entry VALUES (9, 2, '\x6d657368', NULL, '\xf0866ff81e8f28bab3dd902e9e432738', 0, 2, '\x616e6e', 1795219180000, '\x7b226964223a226630383636666638316538663238626162336464393032653965343332373338222c227473223a313739353231393138303030303030303030302c22737663223a22736f6369616c222c22656d6974746572223a22616e6e222c22736967223a22357a7a476770735a5368494b4c3961595474496f446d65776f6c583042317343564e4d67597867452f72756f51796f682f6c4354766f36327464656e5354543351565836754662446543777651584b78682f697043413d3d222c22736f6369616c223a7b2274797065223a227465617365222c226163746f72223a22616e6e222c22746172676574223a22626f62222c22726561736f6e223a2272616e646f6d227d7d');
INSERT INTO public.entry VALUES (10, 2, '\x6d657368', NULL, '\x1af842030875ebc3bcd714ef1b9e022b', 0, 2, '\x616e6e', 1795219179000, '\x7b226964223a223161663834323033303837356562633362636437313465663162396530323262222c227473223a313739353231393137393030303030303030302c22737663223a22736f6369616c222c22656d6974746572223a22616e6e222c22736967223a22516e3547326f72786b576359626b5637496b50464a454e2b72774365412f503163476c5668374c3030504568357a41317335724c537163455a6761615178503678334a447148324b763653703731706341726e4844673d3d222c22736f6369616c223a7b2274797065223a227465617365222c226163746f72223a22616e6e222c22746172676574223a22626f62222c22726561736f6e223a2272616e646f6d227d7d');
INSERT INTO public.entry VALUES (11, 2, '\x6d657368', NULL, '\xe809e6f5030b2d28b0d0e9ad5b2b42da', 0, 2, '\x616e6e', 1795219178000, '\x7b226964223a226538303965366635303330623264323862306430653961643562326234326461222c227473223a313739353231393137383030303030303030302c22737663223a22736f6369616c222c22656d6974746572223a22616e6e222c22736967223a226e374f5768746334354f6c52323133444e54456150472f484f425169643455634a3253534b5a5451474952636b79776f7467656572436a4261626674353373754b6e6f5a6a5433765941737a312b4c5a45654a5343413d3d222c22736f6369616c223a7b2274797065223a227465617365222c226163746f72223a22616e6e222c22746172676574223a22626f62222c22726561736f6e223a2272616e646f6d227d7d');
INSERT INTO public.entry VALUES (12, 2, '\x6d657368', NULL, '\x30f01823472a7af0badc85a5bad4095a', 0, 2, '\x616e6e', 1795219177000, '\x7b226964223a223330663031383233343732613761663062616463383561356261643430393561222c227473223a313739353231393137373030303030303030302c22737663223a22736f6369616c222c22656d6974746572223a22616e6e222c22736967223a2236504d635655525a2b477a5269656258385349304438374b796b646f7268784a4131644a5647394748674f343275667a686d44567477597730326466795743475259506a7173586359563349725a6662494d4c3343773d3d222c22736f6369616c223a7b2274797065223a227465617365222c226163746f72223a22616e6e222c22746172676574223a22626f62222c22726561736f6e223a2272616e646f6d227d7d');
INSERT INTO public.entry VALUES (13, 2, '\x6d657368', NULL, '\x59bf233079d04d8cccb306b6ec3ecff2', 0, 2, '\x616e6e', 1795219176000, '\x7b226964223a223539626632333330373964303464386363636233303662366563336563666632222c227473223a313739353231393137363030303030303030302c22737663223a22736f6369616c222c22656d6974746572223a22616e6e222c22736967223a226f34542b2f77715964514f6272386e7266444d613355382b366d4f746659484c50306a795044664f57486e59766a70476654486d3642494f64536e36412b374f4964756977534d535857572f37504f644f79784841673d3d222c22736f6369616c223a7b2274797065223a227465617365222c226163746f72223a22616e6e222c22746172676574223a22626f62222c22726561736f6e223a2272616e646f6d227d7d');
INSERT INTO public.entry VALUES (14, 2, '\x6d657368', NULL, '\xa82f2d49b9c0c3e003f97b2b4388b933', 0, 2, '\x616e6e', 1795219175000, '\x7b226964223a226138326632643439623963306333653030336639376232623433383862393333222c227473223a313739353231393137353030303030303030302c22737663223a22736f6369616c222c22656d6974746572223a22616e6e222c22736967223a226a716c3333797745713939744476614e706c46676e36754f47456a444c424a766e4648374f39637166632f4772494965634d6c5772664f456e786c6e485233675656335a5a535433536962712b306d6c7371355a43673d3d222c22736f6369616c223a7b2274797065223a227465617365222c226163746f72223a22616e6e222c22746172676574223a22626f62222c22726561736f6e223a2272616e646f6d227d7d');
INSERT INTO public.entry VALUES (19, 2, '\x6d657368', NULL, '\x5024cf27823931ace1664e1d8fe33ec5', 2, 0, '\x616e6e', 1795219170000, '\x7b226964223a223530323463663237383233393331616365313636346531643866653333656335222c227473223a313739353231393137303030303030303030302c22737663223a226f62736572766174696f6e222c226f62736572766174696f6e223a7b226f62736572766572223a22616e6e222c227375626a656374223a22626f62222c2274797065223a227374617475732d6368616e6765222c22696d706f7274616e6365223a322c226f6e6c696e655f7374617465223a224f4e4c494e45227d7d');
INSERT INTO public.entry VALUES (20, 2, '\x6d657368', NULL, '\x998381fb94046ece744de931fab5e0e4', 2, 0, '\x616e6e', 1795219169000, '\x7b226964223a223939383338316662393430343665636537343464653933316661623565306534222c227473223a313739353231393136393030303030303030302c22737663223a226f62736572766174696f6e222c226f62736572766174696f6e223a7b226f62736572766572223a22616e6e222c227375626a656374223a22626f62222c2274797065223a227374617475732d6368616e6765222c22696d706f7274616e6365223a322c226f6e6c696e655f7374617465223a224f4e4c494e45227d7d');
INSERT INTO public.entry VALUES (21, 2, '\x6d657368', NULL, '\x59abf4f74b0f651aab9f590d70f2f124', 2, 0, '\x616e6e', 1795219168000, '\x7b226964223a223539616266346637346230663635316161623966353930643730663266313234222c227473223a313739353231393136383030303030303030302c22737663223a226f62736572766174696f6e222c226f62736572766174696f6e223a7b226f62736572766572223a22616e6e222c227375626a656374223a22626f62222c2274797065223a227374617475732d6368616e6765222c22696d706f7274616e6365223a322c226f6e6c696e655f7374617465223a224f4e4c494e45227d7d');
INSERT INTO public.entry VALUES (22, 2, '\x6d657368', NULL, '\xddf791ffd9da4bd9fa333b597ce4bc05', 6, 2, '\x616e6e', 1795219196000, '\x7b226964223a226464663739316666643964613462643966613333336235393763653462633035222c227473223a313739353231393139363030303030303030302c22737663223a22636865636b706f696e74222c22636865636b706f696e74223a7b2276657273696f6e223a322c227375626a656374223a22616e6e222c227375626a6563745f6964223a2243716b4834596d44416733666572456e534a415658484b433245626b785a347132336a6b3675346944785053222c226f62736572766174696f6e223a7b227265737461727473223a332c22746f74616c5f757074696d65223a38363430302c2273746172745f74696d65223a313730303030303030307d2c2261735f6f665f74696d65223a313739353231393139362c22726f756e64223a312c22766f7465725f696473223a5b2243716b4834596d44416733666572456e534a415658484b433245626b785a347132336a6b3675346944785053222c22445636557a616859794b4477467941334859544a7a6d44557a6d694e736f7a66706677795756784e6f367a58225d2c227369676e617475726573223a5b22353570515a48707a71686c67447052395056416c306243757033464c735550344d63364a4e4d6161714a354e33687a516e4b2b46376353413141574d4248632f6a485043456f414d46586c6f304c44537753655243513d3d222c224b4c41344735756c4675732b547a4865704f7345527644307a6254614e65784c7a654c54337368306775306d43387371304a5752504d66644449702f4961616c5a41327a4654447170567831744d54724465694842513d3d225d7d7d');
INSERT INTO public.entry VALUES (24, 2, '\x6d657368', NULL, '\xfbb5f6bc674447d79102cb6ef0270f96', 3, 2, '\x626f62', 1795219198000, '\x7b226964223a226662623566366263363734343437643739313032636236656630323730663936222c227473223a313739353231393139383030303030303030302c22737663223a226865792d7468657265222c22656d6974746572223a22626f62222c22736967223a22393439456935303156763545626b4652734555384c526d49786d5342327a74766a447161383463434676687a3435534c576f644f5a6c5a6b44364c45714a65654f737170744d4a6935485a386876326434746b7544673d3d222c226865795f7468657265223a7b2246726f6d223a22626f62222c225075626c69634b6579223a22535676707072554f7239482b736e5671533958746d36615a6958785058485576646e5a664c2b755a67374d3d222c224d6573684950223a22222c224944223a22445636557a616859794b4477467941334859544a7a6d44557a6d694e736f7a66706677795756784e6f367a58222c225369676e6174757265223a22227d7d');
INSERT INTO public.entry VALUES (25, 2, '\x6d657368', NULL, '\x8c40c7812aae8167231e1ac0031353bd', 3, 2, '\x636174', 1795219199000, '\x7b226964223a223863343063373831326161653831363732333165316163303033313335336264222c227473223a313739353231393139393030303030303030302c22737663223a226865792d7468657265222c22656d6974746572223a22636174222c22736967223a226868352f4a4f334b764876506e70634359347267636f57314d4d4374437346673739704d6b6157563035316e6b624b6e676b647566776c6a4e34687a6b48776b416d6b4f4777306d5166397a38616179444e547043413d3d222c226865795f7468657265223a7b2246726f6d223a22636174222c225075626c69634b6579223a223261354f797a78386759736c676d48343934337a554a714f47426a504878476c5039734575513549574d673d222c224d6573684950223a22222c224944223a22356872375138335a7261564455367643335076347170444a6f6f656a425777656b7a4b45357042387143414b222c225369676e6174757265223a22227d7d');
INSERT INTO public.entry VALUES (26, 1, '\x7065657273', NULL, '\x430e92537769a6772f17eda894aadbcd', 1, 0, '\x', 1795219200000, '\x7b226e616d65223a22626f62222c227265636f7264223a7b22706f696e7473223a342e302c2261745f6e73223a313739353231393230303030303030303030302c226f6666656e636573223a312c22776879223a226c697474657265643a203532206f66203630206576656e74732077657265206f66206e6f20757365222c2262795f6f70657261746f72223a66616c73657d7d');
INSERT INTO public.identity VALUES ('cursor_key', '\x41c937334511c88d88f9ba6ca6ff053783a74ecc3e8d5cee1db9a3f0461e7941');
INSERT INTO public.identity VALUES ('epoch', '\x1403f56b14f3e9de08e819107db83ee6');
INSERT INTO public.identity VALUES ('last_token', '\x18e9e659d5f6000001a1fb6718007fe783d308e9082f6dca');
INSERT INTO public.identity VALUES ('node', '\xd0d3810a26183d52eec1ca3dcecb9dbcce49ea53d296d511dcc9c9a9e07fdd30');
INSERT INTO public.key VALUES ('ann', '\x3c8cc81a9fe0f21469b4dee92828584e3c63887c491c6d91c05ae25f228d0a5b', 'CqkH4YmDAg3ferEnSJAVXHKC2EbkxZ4q23jk6u4iDxPS', '\x', 'operator', 1795219200000, 0);
INSERT INTO public.key VALUES ('bob', '\x495be9a6b50eafd1feb2756a4bd5ed9ba699897c4f5c752f76765f2feb9983b3', 'DV6UzahYyKDwFyA3HYTJzmDUzmiNsozfpfwyWVxNo6zX', '\x', 'operator', 1795219200000, 0);
INSERT INTO public.key VALUES ('cat', '\xd9ae4ecb3c7c818b258261f8f78df3509a8e1818cf1f11a53fdb04b90e4858c8', '5hr7Q83ZraVDU6vC3Pv4qpDJooejBWwekzKE5pB8qCAK', '\x', 'configured', 1795219200000, 1);
INSERT INTO public.key VALUES ('second', '\xd0d3810a26183d52eec1ca3dcecb9dbcce49ea53d296d511dcc9c9a9e07fdd30', '64NNLoETTZAJFiBpkeQtBpXpdd7cWofryrSb8nFGro2K', '\x', 'own', 1795219200000, 0);
INSERT INTO public.peer VALUES ('bob', 'http://100.64.0.8:7433', 'heard', '', '', '', 0, NULL, 0, 0, 1795219200000000000);
INSERT INTO public.peer VALUES ('cat', 'http://100.64.0.7:7433', 'configured', 'postbox', '1.2.3', 'hog', 3600, 12.5, 1795219200000000000, 1795219195000000000, 0);
INSERT INTO public.peer_record VALUES ('bob', 4, 1795219200000000000, 1, 'littered: 52 of 60 events were of no use', 0);
INSERT INTO public.place VALUES ('http://100.64.0.7:7433', 'cat');
INSERT INTO public.schema VALUES ('kernel', 2, 1);
INSERT INTO public.schema VALUES ('trust', 3, 3);
INSERT INTO public.schema VALUES ('mesh', 1, 1);
INSERT INTO public.schema VALUES ('hosts', 5, 1);
INSERT INTO public.schema VALUES ('clients', 1, 1);
INSERT INTO public.tally VALUES ('told', 0);
INSERT INTO public.tally VALUES ('waiting', 1);
INSERT INTO public.voter VALUES ('64NNLoETTZAJFiBpkeQtBpXpdd7cWofryrSb8nFGro2K', 'second');
INSERT INTO public.voter VALUES ('CqkH4YmDAg3ferEnSJAVXHKC2EbkxZ4q23jk6u4iDxPS', 'ann');
INSERT INTO public.voter VALUES ('DV6UzahYyKDwFyA3HYTJzmDUzmiNsozfpfwyWVxNo6zX', 'bob');
INSERT INTO public.waiting VALUES ('mallory', '\x6201e99acdd90892d0721230c72671f167877e1b4ae270a023fee53b6e881018', NULL, '192.0.2.7', 1795219200000);
SELECT pg_catalog.setval('public.draft_n_seq', 1, false);
SELECT pg_catalog.setval('public.turn', 1, false);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY ("user");
ALTER TABLE ONLY public.added
    ADD CONSTRAINT added_pkey PRIMARY KEY ("user", added_by);
ALTER TABLE ONLY public.changed_message
    ADD CONSTRAINT changed_message_pkey PRIMARY KEY (message);
ALTER TABLE ONLY public.consent
    ADD CONSTRAINT consent_pkey PRIMARY KEY ("user", host);
ALTER TABLE ONLY public.contact
    ADD CONSTRAINT contact_pkey PRIMARY KEY (host);
ALTER TABLE ONLY public.conversation
    ADD CONSTRAINT conversation_pkey PRIMARY KEY (conversation);
ALTER TABLE ONLY public.coordinate
    ADD CONSTRAINT coordinate_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.dead
    ADD CONSTRAINT dead_pkey PRIMARY KEY (reader, pos);
ALTER TABLE ONLY public.device
    ADD CONSTRAINT device_pkey PRIMARY KEY ("user", name);
ALTER TABLE ONLY public.device_place
    ADD CONSTRAINT device_place_pkey PRIMARY KEY (device);
ALTER TABLE ONLY public.done
    ADD CONSTRAINT done_pkey PRIMARY KEY (reader, at_ms);
ALTER TABLE ONLY public.draft
    ADD CONSTRAINT draft_id_key UNIQUE (id);
ALTER TABLE ONLY public.draft
    ADD CONSTRAINT draft_pkey PRIMARY KEY (n);
ALTER TABLE ONLY public.entry
    ADD CONSTRAINT entry_pkey PRIMARY KEY (pos);
ALTER TABLE ONLY public.guild_changes
    ADD CONSTRAINT guild_changes_pkey PRIMARY KEY ("user", host);
ALTER TABLE ONLY public.guild
    ADD CONSTRAINT guild_pkey PRIMARY KEY ("user", host, guild);
ALTER TABLE ONLY public.handled
    ADD CONSTRAINT handled_pkey PRIMARY KEY (reader, pos);
ALTER TABLE ONLY public.handler
    ADD CONSTRAINT handler_pkey PRIMARY KEY (type);
ALTER TABLE ONLY public.host_key
    ADD CONSTRAINT host_key_pkey PRIMARY KEY ("only");
ALTER TABLE ONLY public.host
    ADD CONSTRAINT host_pkey PRIMARY KEY (host);
ALTER TABLE ONLY public.identity
    ADD CONSTRAINT identity_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.invite
    ADD CONSTRAINT invite_pkey PRIMARY KEY (direction, host, invite);
ALTER TABLE ONLY public.key
    ADD CONSTRAINT key_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.link_in
    ADD CONSTRAINT link_in_pkey PRIMARY KEY (host);
ALTER TABLE ONLY public.link_out
    ADD CONSTRAINT link_out_pkey PRIMARY KEY (host);
ALTER TABLE ONLY public.member
    ADD CONSTRAINT member_pkey PRIMARY KEY (conversation, "user");
ALTER TABLE ONLY public.news
    ADD CONSTRAINT news_pkey PRIMARY KEY (turn);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (reader);
ALTER TABLE ONLY public.peer_key
    ADD CONSTRAINT peer_key_pkey PRIMARY KEY (host);
ALTER TABLE ONLY public.peer
    ADD CONSTRAINT peer_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.peer_record
    ADD CONSTRAINT peer_record_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.period
    ADD CONSTRAINT period_pkey PRIMARY KEY ("user", conversation, number);
ALTER TABLE ONLY public.picture
    ADD CONSTRAINT picture_pkey PRIMARY KEY (sha256);
ALTER TABLE ONLY public.picture_use
    ADD CONSTRAINT picture_use_pkey PRIMARY KEY (sha256);
ALTER TABLE ONLY public.place
    ADD CONSTRAINT place_pkey PRIMARY KEY (url);
ALTER TABLE ONLY public.queue
    ADD CONSTRAINT queue_pkey PRIMARY KEY (device);
ALTER TABLE ONLY public.quota
    ADD CONSTRAINT quota_pkey PRIMARY KEY ("user", host);
ALTER TABLE ONLY public.reaction
    ADD CONSTRAINT reaction_pkey PRIMARY KEY (message, "user", reaction);
ALTER TABLE ONLY public.refused
    ADD CONSTRAINT refused_pkey PRIMARY KEY (device);
ALTER TABLE ONLY public.schema
    ADD CONSTRAINT schema_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.tally
    ADD CONSTRAINT tally_pkey PRIMARY KEY (what);
ALTER TABLE ONLY public.tomb
    ADD CONSTRAINT tomb_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.voter
    ADD CONSTRAINT voter_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.waiting
    ADD CONSTRAINT waiting_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.watermark
    ADD CONSTRAINT watermark_pkey PRIMARY KEY (conversation, "user", kind);
CREATE INDEX dead_revived ON public.dead USING btree (reader, pos) WHERE (is_revived = 1);
CREATE INDEX device_id ON public.device USING btree (id);
CREATE INDEX draft_open ON public.draft USING btree (n) WHERE (problem = ''::text);
CREATE UNIQUE INDEX entry_id_1 ON public.entry USING btree (id) WHERE (lane = 1);
CREATE UNIQUE INDEX entry_id_2 ON public.entry USING btree (id) WHERE (lane = 2);
CREATE UNIQUE INDEX entry_id_3 ON public.entry USING btree (id) WHERE (lane = 3);
CREATE UNIQUE INDEX entry_id_4 ON public.entry USING btree (id) WHERE (lane = 4);
CREATE INDEX entry_keeper ON public.entry USING btree (pos) WHERE (lane = 0);
CREATE INDEX entry_node ON public.entry USING btree (pos) WHERE (lane = 1);
CREATE UNIQUE INDEX entry_number ON public.entry USING btree (stream, seq) WHERE (seq IS NOT NULL);
CREATE INDEX entry_stream_1 ON public.entry USING btree (stream, pos) WHERE (lane = 1);
CREATE INDEX entry_stream_3 ON public.entry USING btree (stream, pos) WHERE (lane = 3);
CREATE INDEX entry_stream_4 ON public.entry USING btree (stream, pos) WHERE (lane = 4);
CREATE INDEX invite_made ON public.invite USING btree (inviter, at_ms, host, invite) WHERE (direction = 'out'::text);
CREATE INDEX invite_open ON public.invite USING btree ("user", at_ms, host, invite) WHERE ((direction = 'in'::text) AND (answer = ''::text));
CREATE INDEX member_in ON public.member USING btree (conversation, "user") WHERE (is_in = 1);
CREATE INDEX period_open ON public.period USING btree ("user", conversation) WHERE ("left" = '\x'::bytea);
CREATE INDEX tomb_age ON public.tomb USING btree (at_ms);
