-- The pipelines shipped with the product. Operators may change the rows.

INSERT INTO media.pipelines (name, description, main_steps) VALUES
  ('audio', 'Any video or audio to one audio file (mp3 192 kb/s by default)', '{audio}');

INSERT INTO media.pipeline_steps (pipeline, step, queue, params, params_schema) VALUES
  ('audio', 'audio', 'short', '{"format": "mp3"}', '{
     "format":      {"enum": ["mp3", "aac", "opus", "flac", "wav", "vorbis"]},
     "bitrate":     {"type": "integer", "min": 8, "max": 512},
     "quality":     {"type": "number", "min": 0, "max": 10},
     "channels":    {"type": "integer", "min": 1, "max": 8},
     "sample_rate": {"type": "integer", "min": 8000, "max": 192000},
     "cover":       {"enum": ["keep", "drop"]}
   }');

INSERT INTO media.pipelines (name, description, main_steps) VALUES
  ('mp4', 'Of a ladder that the pipeline "video" has made, one MP4 of each rung', '{mp4}');

INSERT INTO media.pipeline_steps (pipeline, step, queue) VALUES ('mp4', 'mp4', 'short');

-- The numbers of the ladder are those of libmedia's media/ladder.h (a test compares them): the upload hears of a
-- mistake, not its job. A height outside the table needs its rate.
-- Steps: index, ranges of the rungs (those that play first before the others), sound, subtitles, playlists.
INSERT INTO media.pipelines (name, description, main_steps) VALUES
  ('video', 'Any video to a ladder of renditions that plays over HLS and DASH', '{package}');

INSERT INTO media.pipeline_steps (pipeline, step, queue, depends_on, priority, fan_out, params_schema) VALUES
  ('video', 'index', 'short', '{}', 30, false, '{
     "crf":            {"type": "integer", "min": 0, "max": 51, "default": 23},
     "rate_percent":   {"type": "integer", "min": 100, "max": 1000, "default": 150},
     "high_fps":       {"type": "integer", "min": 1, "max": 240, "default": 30},
     "max_fps":        {"type": "integer", "min": 1, "max": 240, "default": 60},
     "segment_s":      {"type": "integer", "min": 1, "max": 10, "default": 4},
     "range_segments": {"type": "integer", "min": 1, "max": 1000, "default": 10},
     "threads":        {"type": "integer", "min": 1, "max": 16, "default": 1},
     "first_height":   {"type": "integer", "min": 2, "max": 8192, "default": 360},
     "audio_kbps":     {"type": "integer", "min": 16, "max": 512, "default": 128},
     "preset":         {"enum": ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"],
                        "default": "medium"},
     "profile":        {"enum": ["baseline", "main", "high"], "default": "main"},
     "remux":          {"enum": ["auto", "never"], "default": "auto"},
     "rungs":          {"type": "array", "min": 1, "max": 12, "unique": "height", "default": [144, 240, 360, 480, 720, 1080],
       "items": {"any": [
         {"type": "integer", "enum": [144, 240, 360, 480, 720, 1080, 1440, 2160]},
         {"type": "object", "required": ["height"], "members": {
            "height":    {"type": "integer", "enum": [144, 240, 360, 480, 720, 1080, 1440, 2160]},
            "kbps":      {"type": "integer", "min": 1, "max": 200000},
            "high_kbps": {"type": "integer", "min": 1, "max": 200000},
            "crf":       {"type": "integer", "min": 0, "max": 51}}},
         {"type": "object", "required": ["height", "kbps"], "members": {
            "height":    {"type": "integer", "min": 2, "max": 8192},
            "kbps":      {"type": "integer", "min": 1, "max": 200000},
            "high_kbps": {"type": "integer", "min": 1, "max": 200000},
            "crf":       {"type": "integer", "min": 0, "max": 51}}}]}}
   }'),
  ('video', 'sound', 'long', '{index}', 20, true, '{}'),
  ('video', 'text', 'short', '{index}', 20, true, '{}'),
  ('video', 'encode_first', 'long', '{index}', 20, true, '{}'),
  ('video', 'encode', 'long', '{index}', 0, true, '{}'),
  ('video', 'package_first', 'short', '{index,sound,text,encode_first}', 30, false, '{}'),
  ('video', 'package', 'short', '{index,sound,text,encode_first,encode,package_first}', 30, false, '{}');
