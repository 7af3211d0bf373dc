"""AWS Signature Version 4 of many requests in little time: boto3 takes a millisecond for each."""

import hashlib
import hmac
import os
import time

from servers import BUCKET, S3_HOST

REGION = os.environ["AWS_REGION"]
UNSIGNED = "UNSIGNED-PAYLOAD"


class Signer:
    """For ten minutes: one date, one derived key."""

    def __init__(self):
        self.date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.scope = f"{self.date[:8]}/{REGION}/s3/aws4_request"
        self.credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{self.scope}"
        key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
        for part in self.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self.key = key

    def _signature(self, *lines):
        request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self.date}\n{self.scope}\n{request}"
        return hmac.digest(self.key, text.encode(), "sha256").hex()

    def presigned(self, method, key, seconds=600):
        """Path and query; the key has to be plain enough to need no escapes."""
        path = f"/{BUCKET}/{key}"
        query = (f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={self.credential.replace('/', '%2F')}"
                 f"&X-Amz-Date={self.date}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host")
        signature = self._signature(method, path, query, f"host:{S3_HOST}", "", "host", UNSIGNED)
        return f"{path}?{query}&X-Amz-Signature={signature}"

    def headers(self, method, key):
        """For a request of /BUCKET/KEY, as the gateway signs it."""
        names = "host;x-amz-content-sha256;x-amz-date"
        signature = self._signature(method, f"/{BUCKET}/{key}", "", f"host:{S3_HOST}",
                                    f"x-amz-content-sha256:{UNSIGNED}", f"x-amz-date:{self.date}", "", names, UNSIGNED)
        return {"x-amz-content-sha256": UNSIGNED, "x-amz-date": self.date,
                "Authorization": f"AWS4-HMAC-SHA256 Credential={self.credential}, SignedHeaders={names}, "
                                 f"Signature={signature}"}
