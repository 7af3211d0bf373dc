-- Every function of stmt.h once, for their plans. Run by plans.sql in a session that logs plans to its client.
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_format = json;
SET enable_seqscan = off;
\set id '\'00000000-0000-7000-8000-000000000001\''
SELECT owner_id AS owner, id AS film FROM media.media ORDER BY id LIMIT 1 \gset
SELECT id AS job FROM media.jobs WHERE media_id = :'film' AND step = 'work' \gset
SELECT owner_id AS owner2, id AS film2 FROM media.media ORDER BY id DESC LIMIT 1 \gset
SET client_min_messages = log;
SELECT FROM media.login_lookup('p1@example.test');
SELECT test.login(:'owner', 'a') AS sid \gset
SELECT FROM media.session_refresh(repeat('a', 64), repeat('b', 64), 60);
SELECT FROM media.session_refresh(repeat('a', 64), repeat('c', 64), 60);
SELECT FROM media.session_close(:'owner', :'sid');
SELECT FROM media.revocations_since(NULL, 10);
SELECT mark FROM media.revocations_since(NULL, 10) LIMIT 1 \gset
SELECT FROM media.revocations_since(:'mark', 10);
SELECT FROM media.me(:'owner', NULL, NULL);
SELECT FROM media.upload_check('one', '{"n": 1}');
SELECT FROM media.upload_open(:id, :'owner', 'k', 'n', NULL, NULL, 'one', '{"n": 1}', 1, 1, NULL, NULL, true, 'key', 1000000, 100);
SELECT FROM media.upload_open(:id, :'owner', 'k', 'n', NULL, NULL, 'one', '{"n": 1}', 1, 1, NULL, NULL, true, 'key', 1000000, 100);
SELECT FROM media.upload_reserve(:id, 1, 1000000);
SELECT FROM media.upload_s3id(:id, 's3');
SELECT FROM media.upload_doubt(:id);
SELECT FROM media.upload_heartbeat(ARRAY[:id]::uuid[]);
SELECT FROM media.upload_commit(:id, 'n', NULL, 't', 1, repeat('a', 64), 'e', 'one', '{"n": 1}', NULL, NULL, NULL);
SELECT FROM media.upload_commit(:id, 'n', NULL, 't', 1, repeat('a', 64), 'e', 'one', '{"n": 1}', NULL, NULL, NULL);
SELECT FROM media.upload_replay(:'owner', 'key', 'n', NULL, NULL, 'one', '{"n": 1}', 1, repeat('a', 64));
SELECT FROM media.upload_abort(:id, true, 'k');
SELECT FROM media.upload_abort(:id, false, 'k');
SELECT FROM media.outbox_sent('{1,2}');
SELECT FROM unnest('{created_at,-created_at}'::text[]) s, media.media_list(:'owner', 10, repeat('A', 22), 'ready', 'one', 'n', s);
SELECT FROM media.media_list(:'owner', 10, NULL, NULL, NULL, NULL, NULL);
SELECT FROM media.media_get(:'owner', :'film');
SELECT FROM unnest('{original,main.mp3,""}'::text[]) o, media.media_object(:'owner', :'film', o);
SELECT FROM media.play_object(:'film', 1, :'sid', 'main.mp3');
SELECT FROM media.media_patch(:'owner', :'film', true, 'T', 'public');
SELECT FROM media.media_epoch(:'owner', :'film');
SELECT FROM media.job_claim('short', 'w', 30, '{work}');
SELECT FROM media.job_heartbeat(:'job', 1, 60, 0.5, 1);
SELECT FROM media.job_object(:'job', 1, 'out');
SELECT FROM media.job_object_s3id('out', 's3');
SELECT FROM media.job_finish(:'job', 1, jsonb_build_object('outputs', jsonb_build_array(test.output('out')),
  'probe', '{}'::jsonb, 'fan_out', '[]'::jsonb));
SELECT id AS job2, fence AS fence2 FROM media.job_claim('short', 'w', 30, '{work}') \gset
SELECT FROM media.job_release(:'job2', :fence2);
SELECT id AS job2, fence AS fence2 FROM media.job_claim('short', 'w', 30, '{work}') \gset
SELECT FROM media.job_fail(:'job2', :fence2, true, 'c', 'd');
SELECT id AS job3, fence AS fence3 FROM media.job_claim('short', 'w', 30, '{work}') \gset
SELECT FROM media.job_fail(:'job3', :fence3, false, 'c', 'd');
SELECT id AS job4, fence AS fence4 FROM media.notify_claim('w', 30) \gset
SELECT FROM media.notify_heartbeat(:'job4', :fence4, 60, NULL, NULL);
SELECT FROM media.notify_release(:'job4', :fence4);
SELECT id AS job4, fence AS fence4 FROM media.notify_claim('w', 30) \gset
SELECT FROM media.notify_fail(:'job4', :fence4, true, 'c', 'd');
SELECT FROM media.notify_finish(:'job4', :fence4, '{}');
SELECT media.janitor_leases();
SELECT media.janitor_announce(0);
SELECT FROM media.janitor_outbox(0, 10);
SELECT media.janitor_uploads(60);
SELECT FROM media.janitor_doomed(10);
SELECT media.janitor_object_gone('x');
SELECT FROM media.janitor_strays(10);
SELECT media.janitor_strays_gone('x');
SELECT media.janitor_sessions();
SELECT FROM media.queue_load();
SELECT media.janitor_originals(10);
SELECT FROM media.ctl_user_add('p1@example.test', '$y$', '{user}');
SELECT FROM media.ctl_user_passwd('p1@example.test', '$y$2');
SELECT FROM media.ctl_user_disable('p1@example.test', false);
SELECT FROM media.ctl_user_quota('p1@example.test', '1000', NULL);
SELECT FROM media.ctl_user_list();
SELECT FROM media.ctl_job_list('failed', 10);
SELECT FROM media.ctl_job_list(NULL, 10);
SELECT FROM media.ctl_job_show(:'job3');
SELECT FROM media.ctl_job_retry(:'job3');
SELECT FROM media.ctl_job_cancel(:'job3');
SELECT FROM media.ctl_media_show(:'film');
SELECT FROM media.media_cancel(:'owner2', :'film2');
SELECT FROM media.media_retry(:'owner2', :'film2');
SELECT FROM media.media_cancel(:'owner2', :'film2');
SELECT FROM media.media_run(:'owner2', :'film2', 'one', '{"n": 1}');
SELECT FROM media.media_cancel(:'owner2', :'film2');
SELECT FROM media.media_run(:'owner2', :'film2', 'anonymize', '{}');
UPDATE media.jobs SET priority = 9 WHERE media_id = :'film2' AND step = 'anonymize';
SELECT id AS job5, fence AS fence5 FROM media.job_claim('mask', 'w', 30, '{anonymize}') \gset
SELECT FROM media.job_object(:'job5', :fence5, 'masked');
SELECT FROM media.job_detections(:'job5', :fence5);
SELECT FROM media.job_finish(:'job5', :fence5, jsonb_build_object('outputs', jsonb_build_array(test.output('masked', 'masked.jpg')),
  'probe', '{}'::jsonb));
SELECT FROM media.media_run(:'owner2', :'film2', 'one', '{}');
SELECT FROM media.job_claim('short', 'w', 30, '{work}') WHERE media_id = :'film2';
SELECT FROM media.media_cancel(:'owner2', :'film2');
SELECT FROM media.media_regions(:'owner2', :'film2', '{"add": [{"box": [0, 0, 1, 1]}]}');
SELECT FROM media.media_delete(:'owner2', :'film2');
SELECT FROM media.ctl_media_rm(:'film');
