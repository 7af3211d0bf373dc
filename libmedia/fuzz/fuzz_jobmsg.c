/* Job messages: what is read can be written and read again, the same. */
#include "fuzz.h"

#include "media/jobmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_jobmsg_t m;
    media_jobmsg_t again;
    media_err_t ei = {""};
    char text[1024];
    media_queue_parse((media_str_t){(const char *)data, size});
    if (media_jobmsg_read((media_str_t){(const char *)data, size}, &m, &ei) != 0) {
        MUST(ei.text[0] != '\0');
        return 0;
    }
    ssize_t n = media_jobmsg_write(&m, text, sizeof(text));
    MUST(n > 0 && text[n] == '\0');
    MUST(media_jobmsg_read((media_str_t){text, (size_t)n}, &again, &ei) == 0);
    MUST(memcmp(&m, &again, sizeof(m)) == 0);
    return 0;
}
