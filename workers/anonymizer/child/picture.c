/* media-picture: the decoder child for pictures. media-anonymizer can do all that this does; but
 * what a film needs are a hundred libraries, which take longer to load than most pictures to mask.
 */
#include <string.h>

#include "an_image.h"
#include "an_picture.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], WK_CHILD_FLAG) == 0) {
        wk_child_main(an_image_warm, an_picture_work);
    }
    return 2;
}
