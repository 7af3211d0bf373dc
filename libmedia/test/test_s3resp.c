/* s3resp.c and the XML reader below it: answers as AWS and MinIO send them, and what must be
 * refused. */
#include "media/s3resp.h"

#include "test.h"

#define DECL "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static int error_parse(const char *body, media_s3_error_t *e)
{
    return media_s3_error_parse(media_str(body), e);
}

static void test_s3resp_error_is_read(void)
{
    media_s3_error_t e;

    CHECK_INT(error_parse(DECL "<Error><Code>NoSuchKey</Code><Message>The &lt;key&gt; &amp;"
                               " &#34;it&#x22; does not exist.</Message><Key>a</Key>"
                               "<Resource>/b/a</Resource><RequestId>1</RequestId></Error>",
                          &e),
              0);
    CHECK_STR(e.code, "NoSuchKey");
    CHECK_STR(e.message, "The <key> & \"it\" does not exist.");
    CHECK_INT(error_parse("<Error/>", &e), 0);
    CHECK_STR(e.code, "");
    CHECK_INT(error_parse("<Other><Code>x</Code></Other>", &e), MEDIA_E_GONE);
    CHECK_STR(e.code, "");
    CHECK_INT(error_parse("<Error><Detail><Code>x</Code></Detail></Error>", &e), 0);
    CHECK_STR(e.code, "");
}

static void test_s3resp_error_text_is_cut_and_cleaned(void)
{
    char body[1024] = "<Error><Message>";
    media_s3_error_t e;

    for (int i = 0; i < 150; i++) {
        strncat(body, "\xc3\xa4", sizeof(body) - strlen(body) - 1);
    }
    strncat(body, "</Message><Code>a&#10;b</Code></Error>", sizeof(body) - strlen(body) - 1);
    CHECK_INT(error_parse(body, &e), 0);
    CHECK_INT(strlen(e.message), 198);
    CHECK(media_utf8_valid(media_str(e.message)));
    CHECK_STR(e.code, "a b");
}

static void test_s3resp_garbage_is_rejected(void)
{
    static const char *const bad[] = {
        "",
        " ",
        "x",
        "<",
        "<Error",
        "<Error>",
        "<Error></Err>",
        "<Error></Error",
        "<Error></Error>x",
        "<Error></Error><Error></Error>",
        "</Error>",
        "<Error><Code>x</Error></Code>",
        "<Error><Code>&bogus;</Code></Error>",
        "<Error><Code>&#0;</Code></Error>",
        "<Error><Code>&#xd800;</Code></Error>",
        "<Error><Code>&#x110000;</Code></Error>",
        "<Error><Code>&#;</Code></Error>",
        "<Error><Code>&#12a;</Code></Error>",
        "<Error><Code>& </Code></Error>",
        "<Error><Code>&lt</Code></Error>",
        "<Error a></Error>",
        "<Error a=b></Error>",
        "<Error a=\"b></Error>",
        "<Error a=\"<\"></Error>",
        "<Error><!-- c --></Error>",
        "<Error><![CDATA[x]]></Error>",
        "<Error><?pi?></Error>",
        "<!DOCTYPE Error [<!ENTITY x \"y\">]><Error/>",
        "<?xml version=\"1.0\"",
        "<Error><Code>\xff</Code></Error>",
    };
    media_s3_error_t e;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = error_parse(bad[i], &e);

        if (rc != MEDIA_E_REJECT) {
            printf("document %s\n", bad[i]);
        }
        CHECK_INT(rc, MEDIA_E_REJECT);
    }
    CHECK_INT(media_s3_error_parse((media_str_t){"<Error>\0</Error>", 16}, &e), MEDIA_E_REJECT);
    CHECK_INT(media_s3_error_parse(MEDIA_STR_NULL, &e), MEDIA_E_REJECT);
}

static void test_s3resp_depth_and_size_are_bounded(void)
{
    static char big[MEDIA_S3_BODY_MAX + 64];
    char deep[1024] = "";
    media_s3_error_t e;
    size_t n;

    for (int i = 0; i < 16; i++) {
        strncat(deep, "<a>", sizeof(deep) - strlen(deep) - 1);
    }
    for (int i = 0; i < 16; i++) {
        strncat(deep, "</a>", sizeof(deep) - strlen(deep) - 1);
    }
    CHECK_INT(error_parse(deep, &e), MEDIA_E_GONE);
    memmove(deep + 3, deep, strlen(deep) + 1);
    memcpy(deep, "<a>", 3);
    strncat(deep, "</a>", sizeof(deep) - strlen(deep) - 1);
    CHECK_INT(error_parse(deep, &e), MEDIA_E_REJECT);
    memset(big, ' ', sizeof(big));
    n = MEDIA_S3_BODY_MAX - 8;
    memcpy(big + n, "<Error/>", 8);
    CHECK_INT(media_s3_error_parse((media_str_t){big, n + 8}, &e), 0);
    CHECK_INT(media_s3_error_parse((media_str_t){big, n + 9}, &e), MEDIA_E_REJECT);
}

static void test_s3resp_verdicts(void)
{
    static const struct {
        int status;
        const char *code;
        int want;
    } cases[] = {
        {200, "", 0},
        {204, "", 0},
        {206, "", 0},
        {200, "InternalError", MEDIA_E_RETRY},
        {200, "InvalidPart", MEDIA_E_REJECT},
        {500, "", MEDIA_E_RETRY},
        {503, "SlowDown", MEDIA_E_RETRY},
        {503, "SlowDownWrite", MEDIA_E_RETRY},
        {400, "RequestTimeout", MEDIA_E_RETRY},
        {400, "XAmzContentChecksumMismatch", MEDIA_E_RETRY},
        {429, "", MEDIA_E_RETRY},
        {404, "", MEDIA_E_GONE},
        {404, "NoSuchUpload", MEDIA_E_GONE},
        {404, "NoSuchBucket", MEDIA_E_AUTH},
        {403, "", MEDIA_E_AUTH},
        {403, "SignatureDoesNotMatch", MEDIA_E_AUTH},
        {400, "InvalidPart", MEDIA_E_REJECT},
        {412, "PreconditionFailed", MEDIA_E_REJECT},
        {301, "", MEDIA_E_REJECT},
        {304, "", MEDIA_E_REJECT},
    };
    media_s3_error_t e = {{0}, {0}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(e.code, sizeof(e.code), "%s", cases[i].code);
        CHECK_INT(media_s3_verdict(cases[i].status, &e), cases[i].want);
    }
    CHECK_INT(media_s3_verdict(200, NULL), 0);
    CHECK_INT(media_s3_verdict(404, NULL), MEDIA_E_GONE);
}

static void test_s3resp_create_gives_the_upload_id(void)
{
    char dst[64];
    media_err_t ei;

    CHECK_INT(media_s3_create_parse(MEDIA_STR(DECL "<InitiateMultipartUploadResult" NS
                                                   "><Bucket>b</Bucket>"
                                                   "<Key>k</Key><UploadId>a&amp;b=</UploadId>"
                                                   "</InitiateMultipartUploadResult>\n"),
                                    dst, sizeof(dst), &ei),
              4);
    CHECK_STR(dst, "a&b=");
    CHECK_INT(media_s3_create_parse(MEDIA_STR("<InitiateMultipartUploadResult>"
                                              "<UploadId>abcd</UploadId>"
                                              "</InitiateMultipartUploadResult>"),
                                    dst, 4, &ei),
              MEDIA_E_TOOBIG);
    CHECK_INT(media_s3_create_parse(MEDIA_STR("<InitiateMultipartUploadResult><UploadId/>"
                                              "</InitiateMultipartUploadResult>"),
                                    dst, sizeof(dst), &ei),
              MEDIA_E_REJECT);
    CHECK_INT(media_s3_create_parse(MEDIA_STR("<Wrong><UploadId>a</UploadId></Wrong>"), dst,
                                    sizeof(dst), &ei),
              MEDIA_E_REJECT);
    CHECK_STR(ei.text, "S3's answer is no InitiateMultipartUploadResult with an UploadId");
    CHECK_INT(media_s3_create_parse(MEDIA_STR("<InitiateMultipartUploadResult>"
                                              "<UploadId>a</UploadId>"),
                                    dst, sizeof(dst), &ei),
              MEDIA_E_REJECT);
}

static void test_s3resp_complete_gives_the_etag_or_the_error(void)
{
    char dst[64];
    media_err_t ei;
    media_s3_error_t e;

    CHECK_INT(
        media_s3_complete_parse(MEDIA_STR("  \n" DECL "   <CompleteMultipartUploadResult" NS ">"
                                          "<Location>x</Location><ETag>&#34;3858f6-2&#34;</ETag>"
                                          "</CompleteMultipartUploadResult>"),
                                dst, sizeof(dst), &e, &ei),
        8);
    CHECK_STR(dst, "3858f6-2");
    CHECK_STR(e.code, "");
    CHECK_INT(media_s3_complete_parse(MEDIA_STR(DECL "<Error><Code>InternalError</Code><Message>We "
                                                     "encountered an internal error.</Message>"
                                                     "</Error>"),
                                      dst, sizeof(dst), &e, &ei),
              MEDIA_E_REJECT);
    CHECK_STR(e.code, "InternalError");
    CHECK_INT(media_s3_verdict(200, &e), MEDIA_E_RETRY);
    CHECK_STR(ei.text, "S3 answered InternalError: We encountered an internal error.");
}

typedef struct {
    char text[512];
    int stop_after;
    int rc;
} seen_t;

static int see(void *data, media_str_t key, media_str_t upload_id)
{
    seen_t *s = data;
    size_t n = strlen(s->text);

    snprintf(s->text + n, sizeof(s->text) - n, "%.*s=%.*s;", (int)key.len, key.p,
             (int)upload_id.len, upload_id.p);
    return --s->stop_after == 0 ? s->rc : 0;
}

static void test_s3resp_listings_are_walked(void)
{
    media_str_t uploads = MEDIA_STR(
        DECL "<ListMultipartUploadsResult" NS "><Bucket>b</Bucket><KeyMarker/>"
             "<NextKeyMarker>k</NextKeyMarker><Upload><Key>a&amp;b</Key><UploadId>1</UploadId>"
             "<Initiator><ID/><UploadId>no</UploadId></Initiator></Upload>"
             "<Upload><UploadId>2</UploadId><Key>c</Key></Upload></ListMultipartUploadsResult>");
    media_str_t objects = MEDIA_STR(
        "<ListBucketResult><Name>b</Name><Contents><Key>x y</Key><ETag>&quot;e&quot;</ETag>"
        "<Size>7</Size><Owner><Key>no</Key></Owner>"
        "</Contents><CommonPrefixes><Key>no</Key></CommonPrefixes>"
        "<Contents><Size>0</Size><Key>z</Key></Contents></ListBucketResult>");
    media_str_t versions = MEDIA_STR(
        DECL
        "<ListVersionsResult" NS "><Name>b</Name><Prefix>a</Prefix><KeyMarker></KeyMarker>"
        "<VersionIdMarker></VersionIdMarker><Version><Key>a</Key><VersionId>null</VersionId>"
        "<IsLatest>false</IsLatest><Owner><ID>o</ID></Owner></Version><DeleteMarker>"
        "<Key>a</Key><VersionId>v2</VersionId></DeleteMarker><Version><VersionId>v3</VersionId>"
        "<Key>b</Key></Version></ListVersionsResult>");
    media_err_t ei;
    seen_t s = {.stop_after = 0};

    CHECK_INT(media_s3_list_parse(uploads, see, &s, &ei), 2);
    CHECK_STR(s.text, "a&b=1;c=2;");
    memset(&s, 0, sizeof(s));
    CHECK_INT(media_s3_list_parse(objects, see, &s, &ei), 2);
    CHECK_STR(s.text, "x y=7;z=0;");
    s = (seen_t){.stop_after = 1, .rc = 1};
    CHECK_INT(media_s3_list_parse(objects, see, &s, &ei), 1);
    CHECK_STR(s.text, "x y=7;");
    s = (seen_t){.stop_after = 1, .rc = MEDIA_E_NOMEM};
    CHECK_INT(media_s3_list_parse(objects, see, &s, &ei), MEDIA_E_NOMEM);
    CHECK_INT(media_s3_list_parse(MEDIA_STR("<ListBucketResult/>"), see, &s, &ei), 0);
    memset(&s, 0, sizeof(s));
    CHECK_INT(media_s3_list_parse(versions, see, &s, &ei), 3);
    CHECK_STR(s.text, "a=null;a=v2;b=v3;");
}

static void test_s3resp_bad_listings_are_rejected(void)
{
    media_err_t ei;
    seen_t s = {.stop_after = 0};

    CHECK_INT(media_s3_list_parse(MEDIA_STR("<Error><Code>x</Code></Error>"), see, &s, &ei),
              MEDIA_E_REJECT);
    CHECK_INT(media_s3_list_parse(MEDIA_STR("<ListBucketResult><Contents></Contents>"
                                            "</ListBucketResult>"),
                                  see, &s, &ei),
              MEDIA_E_REJECT);
    CHECK_INT(media_s3_list_parse(MEDIA_STR("<ListBucketResult><Contents><Key>a</Key></Contents>"
                                            "</ListBucketResult>"),
                                  see, &s, &ei),
              MEDIA_E_REJECT);
    CHECK_INT(media_s3_list_parse(MEDIA_STR("<ListMultipartUploadsResult><Upload><Key>a</Key>"
                                            "</Upload></ListMultipartUploadsResult>"),
                                  see, &s, &ei),
              MEDIA_E_REJECT);
    CHECK_INT(media_s3_list_parse(MEDIA_STR("<ListMultipartUploadsResult><Upload><Key>a</Key>"
                                            "<UploadId><x>no</x></UploadId>"
                                            "</Upload></ListMultipartUploadsResult>"),
                                  see, &s, &ei),
              MEDIA_E_REJECT);
    CHECK_INT(media_s3_list_parse(MEDIA_STR("<ListVersionsResult><DeleteMarker><Key>a</Key>"
                                            "</DeleteMarker></ListVersionsResult>"),
                                  see, &s, &ei),
              MEDIA_E_REJECT);
    CHECK_STR(s.text, "");
}

static void test_s3resp_complete_part_is_exact(void)
{
    char dst[128];

    CHECK(media_s3_complete_part(7, MEDIA_STR("abc"), MEDIA_S3_SUM_NONE, NULL, dst, sizeof(dst)) >
          0);
    CHECK_STR(dst, "<Part><PartNumber>7</PartNumber><ETag>\"abc\"</ETag></Part>");
    CHECK(media_s3_complete_part(1, MEDIA_STR("a<&>b"), MEDIA_S3_SUM_SHA256, "", dst, sizeof(dst)) >
          0);
    CHECK_STR(dst, "<Part><PartNumber>1</PartNumber><ETag>\"a&lt;&amp;&gt;b\"</ETag></Part>");
    CHECK(media_s3_complete_part(1, MEDIA_STR("a"), MEDIA_S3_SUM_SHA256, "ab=", dst, sizeof(dst)) >
          0);
    CHECK_STR(dst, "<Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag>"
                   "<ChecksumSHA256>ab=</ChecksumSHA256></Part>");
    CHECK(media_s3_complete_part(1, MEDIA_STR("a"), MEDIA_S3_SUM_CRC64NVME, "ab=", dst,
                                 sizeof(dst)) > 0);
    CHECK_STR(dst, "<Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag>"
                   "<ChecksumCRC64NVME>ab=</ChecksumCRC64NVME></Part>");
    CHECK_INT(media_s3_complete_part(7, MEDIA_STR("abc"), MEDIA_S3_SUM_NONE, NULL, dst, 10),
              MEDIA_E_TOOBIG);
}

static void check_etag(const char *header, const char *want)
{
    media_str_t e = media_s3_etag(media_str(header));

    CHECK_MEM(e.p, e.len, want);
}

static void test_s3resp_etag_loses_its_quotes(void)
{
    check_etag("\"abc-2\"", "abc-2");
    check_etag("abc", "abc");
    check_etag("W/\"abc\"", "W/\"abc\"");
    check_etag("\"", "\"");
    check_etag("\"\"", "");
    check_etag("", "");
}

int main(void)
{
    test_s3resp_error_is_read();
    test_s3resp_error_text_is_cut_and_cleaned();
    test_s3resp_garbage_is_rejected();
    test_s3resp_depth_and_size_are_bounded();
    test_s3resp_verdicts();
    test_s3resp_create_gives_the_upload_id();
    test_s3resp_complete_gives_the_etag_or_the_error();
    test_s3resp_listings_are_walked();
    test_s3resp_bad_listings_are_rejected();
    test_s3resp_complete_part_is_exact();
    test_s3resp_etag_loses_its_quotes();
    return test_report();
}
