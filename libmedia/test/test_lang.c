#include "test.h"

#include "media/lang.h"

static void test_lang_tag_is_the_shortest(void)
{
    static const char *const of[][2] = {{"deu", "de"},
                                        {"ger", "de"},
                                        {"fra", "fr"},
                                        {"fre", "fr"},
                                        {"eng", "en"},
                                        {"aar", "aa"},
                                        {"zul", "zu"},
                                        {"zho", "zh"},
                                        {"chi", "zh"},
                                        {"ell", "el"},
                                        /* without a shorter one, or no such code */
                                        {"yue", "yue"},
                                        {"und", "und"},
                                        {"de", "de"},
                                        {"de-AT", "de-AT"},
                                        {"", ""},
                                        {"zzz", "zzz"}};

    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        CHECK_STR(media_lang_tag(of[i][0]), of[i][1]);
    }
}

int main(void)
{
    test_lang_tag_is_the_shortest();
    return test_report();
}
