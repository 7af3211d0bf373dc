
/*
 * Variables of the module and its header filter.
 */

#ifndef _NGX_MEDIA_VAR_H_INCLUDED_
#define _NGX_MEDIA_VAR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* From preconfiguration. [conf] */
ngx_int_t ngx_media_add_variables(ngx_conf_t *cf);

/* From postconfiguration. [conf] */
ngx_int_t ngx_media_add_header_filter(ngx_conf_t *cf);


#endif
