-- Least privilege: each program's role may execute its own functions and nothing
-- else; none may read or write a table. The roles themselves (with passwords) are
-- made by whoever runs the server; they are created without login where absent.

DO $$
DECLARE
  v_role text;
BEGIN
  FOREACH v_role IN ARRAY ARRAY['media_gateway', 'media_worker', 'media_notifier', 'media_janitor', 'media_ctl'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = v_role) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
    END IF;
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA media TO media_gateway, media_worker, media_notifier, media_janitor, media_ctl;

GRANT EXECUTE ON FUNCTION
  media.me, media.upload_s3id, media.upload_doubt, media.upload_heartbeat,
  media.upload_commit, media.upload_abort, media.outbox_sent, media.media_list, media.media_get,
  media.media_object, media.play_object, media.media_epoch
TO media_gateway;

GRANT EXECUTE ON FUNCTION
  media.job_claim, media.job_heartbeat, media.job_object, media.job_object_s3id, media.job_finish, media.job_fail,
  media.job_release, media.outbox_sent
TO media_worker;

GRANT EXECUTE ON FUNCTION
  media.notify_claim, media.notify_heartbeat, media.notify_finish, media.notify_fail, media.notify_release,
  media.outbox_sent
TO media_notifier;

GRANT EXECUTE ON FUNCTION
  media.janitor_leases, media.janitor_announce, media.janitor_outbox, media.janitor_uploads,
  media.janitor_doomed, media.janitor_object_gone, media.janitor_strays, media.janitor_strays_gone,
  media.janitor_sessions, media.outbox_sent
TO media_janitor;

GRANT EXECUTE ON FUNCTION
  media.ctl_user_add, media.ctl_user_passwd, media.ctl_user_disable, media.ctl_user_list, media.ctl_user_quota,
  media.ctl_job_list, media.ctl_job_show, media.ctl_job_retry, media.ctl_job_cancel, media.ctl_media_show,
  media.ctl_media_rm, media.ctl_pipeline_list, media.ctl_pipeline_show, media.ctl_pipeline_params, media.ctl_pipeline_set,
  media.outbox_sent
TO media_ctl;
