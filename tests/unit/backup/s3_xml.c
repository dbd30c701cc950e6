/* Replies in XML: as AWS, radosgw and Swift write them, and as nobody should. */
#include "backup/s3_xml.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "unit/backup/kit.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

Test(s3_xml, an_error_is_read_whatever_else_it_has)
{
    static const char xml[] = HEAD
        "<Error><Code>SignatureDoesNotMatch</Code><Message>The request &lt;signature&gt; "
        "…</Message>"
        "<Resource><Code>not this</Code></Resource><RequestId>tx0001</RequestId>"
        "<HostId>x</HostId></Error>";
    struct s3_xml_error error;
    cr_assert(eq(int, s3_xml_error(view_str(xml), &error), STATUS_OK));
    cr_assert(eq(str, error.code, "SignatureDoesNotMatch"));
    cr_assert(eq(str, error.message, "The request <signature> …"));
    cr_assert(eq(str, error.request_id, "tx0001"));
}

Test(s3_xml, what_is_not_an_error_is_not_read_as_one)
{
    static const char *const texts[] = {
        "",
        " ",
        "no xml",
        "<Error>",
        "<Error><Code>x</Error>",
        "<html><body>502</body></html>",
        "<ListBucketResult/>",
        "<Error/><Error/>",
        "\xff\xfe",
        "<Error a=\"1\" a=\"2\"/>",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct s3_xml_error error;
        cr_assert(eq(int, s3_xml_error(view_str(texts[i]), &error), STATUS_CORRUPT), "%s",
                  texts[i]);
    }
    struct s3_xml_error error;
    cr_assert(eq(int, s3_xml_error(view_of("<Error/>\0", 9), &error), STATUS_CORRUPT));
}

static struct s3_list_page page;

Test(s3_xml, a_list_of_aws)
{
    static const char xml[] = HEAD
        "<ListBucketResult" NS "><Name>bucket</Name><Prefix>a/</Prefix><KeyCount>2</KeyCount>"
        "<MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</"
        "NextContinuationToken>"
        "<Contents><Key>a/1&amp;2 "
        "&#x41;é</Key><LastModified>2009-10-12T17:50:30.123Z</LastModified>"
        "<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size>"
        "<StorageClass>STANDARD</StorageClass><Owner><ID>x</ID></Owner></Contents>\n"
        "<Contents><Size>18446744073709</Size><Key>a/3</Key></Contents>"
        "<CommonPrefixes><Prefix>a/b/</Prefix></CommonPrefixes></ListBucketResult>";
    cr_assert(eq(int, s3_xml_list(view_str(xml), &page), STATUS_OK));
    cr_assert(eq(sz, page.count, 2));
    cr_assert(page.is_truncated);
    cr_assert(eq(str, page.next_token, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM="));
    cr_assert(eq(str, (char *)s3_list_key(&page, 0), "a/1&2 Aé"));
    cr_assert(eq(u64, page.entries[0].bytes, 434234));
    cr_assert(eq(i64, page.entries[0].modified_ms, INT64_C(1255369830123)));
    cr_assert(eq(str, (char *)s3_list_key(&page, 1), "a/3"));
    cr_assert(eq(u64, page.entries[1].bytes, UINT64_C(18446744073709)));
    s3_list_page_free(&page);
}

Test(s3_xml, keys_written_as_in_a_url_are_read_wherever_that_is_said)
{
    static const char xml[] =
        "<ListBucketResult><Contents><Key>a%2Fb+%2b%C3%A9%01</Key></Contents>"
        "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated></ListBucketResult>";
    static const char plain[] = "<ListBucketResult><Contents><Key>a%2Fb+c</Key></Contents>"
                                "</ListBucketResult>";
    cr_assert(eq(int, s3_xml_list(view_str(xml), &page), STATUS_OK));
    cr_assert(eq(str, (char *)s3_list_key(&page, 0), "a/b +é\x01"));
    cr_assert(not(page.is_truncated));
    cr_assert(eq(int, s3_xml_list(view_str(plain), &page), STATUS_OK));
    cr_assert(eq(str, (char *)s3_list_key(&page, 0), "a%2Fb+c"));
    s3_list_page_free(&page);
}

Test(s3_xml, lists_that_make_no_sense_are_refused)
{
    static const char *const inner[] = {
        "<Contents></Contents>",
        "<Contents><Size>5</Size></Contents>",
        "<Contents><Key>a</Key><Size>-1</Size></Contents>",
        "<Contents><Key>a</Key><Size></Size></Contents>",
        "<Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>",
        "<Contents><Key>a</Key><LastModified>yesterday</LastModified></Contents>",
        "<EncodingType>url</EncodingType><Contents><Key>a%</Key></Contents>",
        "<EncodingType>url</EncodingType><Contents><Key>a%2</Key></Contents>",
        "<EncodingType>url</EncodingType><Contents><Key>a%zz</Key></Contents>",
        "<EncodingType>url</EncodingType><Contents><Key>a%00</Key></Contents>",
    };
    for (size_t i = 0; i < COUNT(inner); i++) {
        struct buf xml = {0};
        cr_assert(eq(int, buf_printf(&xml, "<ListBucketResult>%s</ListBucketResult>", inner[i]),
                     STATUS_OK));
        cr_assert(eq(int, s3_xml_list(buf_view(&xml), &page), STATUS_CORRUPT), "%s", inner[i]);
        cr_assert(eq(sz, page.count, 0));
        buf_free(&xml);
    }
    s3_list_page_free(&page);
}

/* `before`, then `what` `times` times, then `after`. */
static struct buf repeated(const char *before, const char *what, size_t times, const char *after)
{
    struct buf out = {0};
    cr_assert(eq(int, buf_append(&out, view_str(before)), STATUS_OK));
    for (size_t i = 0; i < times; i++) {
        cr_assert(eq(int, buf_append(&out, view_str(what)), STATUS_OK));
    }
    cr_assert(eq(int, buf_append(&out, view_str(after)), STATUS_OK));
    return out;
}

Test(s3_xml, limits_hold_exactly)
{
    static const struct {
        const char *before;
        const char *what;
        size_t times;
        const char *after;
        enum status status;
    } cases[] = {
        /* nesting */
        {"<ListBucketResult>", "<a>", 7, "</a></a></a></a></a></a></a></ListBucketResult>",
         STATUS_OK},
        {"<ListBucketResult>", "<a>", 8, "</a></a></a></a></a></a></a></a></ListBucketResult>",
         STATUS_TOO_LARGE},
        {"<ListBucketResult>", "<a>", 100000, "", STATUS_TOO_LARGE},
        {"<ListBucketResult><a><a><a><a><a><a><a>", "<b/>", 1, "", STATUS_TOO_LARGE},
        /* entries */
        {"<ListBucketResult>", "<Contents><Key>k</Key></Contents>", 1000, "</ListBucketResult>",
         STATUS_OK},
        {"<ListBucketResult>", "<Contents><Key>k</Key></Contents>", 1001, "</ListBucketResult>",
         STATUS_TOO_LARGE},
        /* a key */
        {"<ListBucketResult><Contents><Key>", "k", S3_KEY_BYTES_MAX,
         "</Key></Contents></ListBucketResult>", STATUS_OK},
        {"<ListBucketResult><Contents><Key>", "k", S3_KEY_BYTES_MAX + 1,
         "</Key></Contents></ListBucketResult>", STATUS_TOO_LARGE},
        {"<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>", "%6b",
         S3_KEY_BYTES_MAX, "</Key></Contents></ListBucketResult>", STATUS_OK},
        /* any text */
        {"<ListBucketResult><x>", "t", 8191, "</x></ListBucketResult>", STATUS_OK},
        {"<ListBucketResult><x>", "t", 8192, "</x></ListBucketResult>", STATUS_TOO_LARGE},
        {"<ListBucketResult><NextContinuationToken>", "t", S3_TOKEN_BYTES,
         "</NextContinuationToken></ListBucketResult>", STATUS_TOO_LARGE},
        /* a name */
        {"<ListBucketResult><", "n", 100000, "/></ListBucketResult>", STATUS_TOO_LARGE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf xml = repeated(cases[i].before, cases[i].what, cases[i].times, cases[i].after);
        cr_assert(eq(int, s3_xml_list(buf_view(&xml), &page), cases[i].status), "case %zu", i);
        buf_free(&xml);
    }
    s3_list_page_free(&page);
}

Test(s3_xml, a_document_with_a_dtd_is_refused)
{
    static const char *const texts[] = {
        "<!DOCTYPE Error><Error/>",
        "<!DOCTYPE Error [<!ENTITY a \"aaaa\"><!ENTITY b "
        "\"&a;&a;\">]><Error><Code>&b;</Code></Error>",
        "<!DOCTYPE Error SYSTEM \"file:///etc/passwd\"><Error/>",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct s3_xml_error error;
        cr_assert(eq(int, s3_xml_error(view_str(texts[i]), &error), STATUS_CORRUPT));
        cr_assert(eq(str, error.code, ""));
    }
}

Test(s3_xml, the_id_of_an_upload)
{
    char id[S3_UPLOAD_ID_BYTES];
    static const char xml[] = HEAD "<InitiateMultipartUploadResult" NS "><Bucket>b</Bucket>"
                                   "<Key>k</Key><UploadId>2~VXBsb2FkIElE</UploadId>"
                                   "</InitiateMultipartUploadResult>";
    cr_assert(eq(int, s3_xml_upload_id(view_str(xml), id), STATUS_OK));
    cr_assert(eq(str, id, "2~VXBsb2FkIElE"));
    cr_assert(eq(int, s3_xml_upload_id(view_str("<InitiateMultipartUploadResult/>"), id),
                 STATUS_CORRUPT));
    struct buf longer = repeated("<InitiateMultipartUploadResult><UploadId>", "x",
                                 S3_UPLOAD_ID_BYTES, "</UploadId></InitiateMultipartUploadResult>");
    cr_assert(eq(int, s3_xml_upload_id(buf_view(&longer), id), STATUS_TOO_LARGE));
    buf_free(&longer);
}

Test(s3_xml, completion_or_the_error_in_its_place)
{
    static const struct {
        const char *xml;
        enum status status;
        const char *etag;
        const char *code;
    } cases[] = {
        {"   \n<CompleteMultipartUploadResult" NS "><ETag>&#34;a-2&#34;</ETag>"
         "</CompleteMultipartUploadResult>",
         STATUS_OK, "a-2", ""},
        {"<CompleteMultipartUploadResult><ETag>a-2</ETag></CompleteMultipartUploadResult>",
         STATUS_OK, "a-2", ""},
        {"<Error><Code>InternalError</Code></Error>", STATUS_OK, "", "InternalError"},
        {"<CompleteMultipartUploadResult><Location/></CompleteMultipartUploadResult>",
         STATUS_CORRUPT, "", ""},
        {"", STATUS_CORRUPT, "", ""},
        {"<CompleteMultipartUploadResult><ETag>a-2</ETag>", STATUS_CORRUPT, NULL, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char etag[S3_ETAG_BYTES];
        struct s3_xml_error error;
        cr_assert(eq(int, s3_xml_complete(view_str(cases[i].xml), etag, &error), cases[i].status),
                  "case %zu", i);
        if (cases[i].etag != NULL) {
            cr_assert(eq(str, etag, (char *)cases[i].etag));
        }
        cr_assert(eq(str, error.code, (char *)cases[i].code));
    }
}
