-- The pipelines shipped with the product. Operators may change the rows.

INSERT INTO media.pipelines (name, description, main_step) VALUES
  ('audio', 'Any video or audio to one audio file (mp3 192 kb/s by default)', 'audio');

INSERT INTO media.pipeline_steps (pipeline, step, queue, params, params_schema) VALUES
  ('audio', 'audio', 'short', '{"format": "mp3"}', '{
     "format":      {"enum": ["mp3", "aac", "opus", "flac", "wav", "vorbis"]},
     "bitrate":     {"type": "integer", "min": 8, "max": 512},
     "quality":     {"type": "number", "min": 0, "max": 10},
     "channels":    {"type": "integer", "min": 1, "max": 8},
     "sample_rate": {"type": "integer", "min": 8000, "max": 192000},
     "cover":       {"enum": ["keep", "drop"]}
   }');

INSERT INTO media.pipelines (name, description, main_step) VALUES
  ('mp4', 'Of a ladder that the pipeline "video" has made, one MP4 of each rung', 'mp4');

INSERT INTO media.pipeline_steps (pipeline, step, queue) VALUES ('mp4', 'mp4', 'short');

-- Ladder: index, ranges of the rungs (those that play first before the others), sound, subtitles, playlists.
INSERT INTO media.pipelines (name, description, main_step) VALUES
  ('video', 'Any video to a ladder of renditions that plays over HLS and DASH', 'package');

INSERT INTO media.pipeline_steps (pipeline, step, queue, depends_on, priority, fan_out, params_schema) VALUES
  ('video', 'index', 'short', '{}', 30, false, '{
     "crf":            {"type": "integer", "min": 0, "max": 51},
     "segment_s":      {"type": "integer", "min": 1, "max": 10},
     "range_segments": {"type": "integer", "min": 1, "max": 1000},
     "first_height":   {"type": "integer", "min": 2, "max": 8192},
     "max_fps":        {"type": "integer", "min": 1, "max": 240},
     "audio_kbps":     {"type": "integer", "min": 16, "max": 512},
     "preset":         {"enum": ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]},
     "profile":        {"enum": ["baseline", "main", "high"]}
   }'),
  ('video', 'sound', 'long', '{index}', 20, true, '{}'),
  ('video', 'text', 'short', '{index}', 20, true, '{}'),
  ('video', 'encode_first', 'long', '{index}', 20, true, '{}'),
  ('video', 'encode', 'long', '{index}', 0, true, '{}'),
  ('video', 'package_first', 'short', '{index,sound,text,encode_first}', 30, false, '{}'),
  ('video', 'package', 'short', '{index,sound,text,encode_first,encode,package_first}', 30, false, '{}');
