
/*
 * media_auth_require: what the claims of a token have to say. The rules of a
 * location replace those it would inherit, as with other lists in nginx.
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"


static ngx_uint_t ngx_media_require_holds(ngx_media_rule_t *rule,
    media_jwt_claims_t *claims);


ngx_media_rule_t *
ngx_media_require_broken(ngx_http_request_t *r, media_jwt_claims_t *claims)
{
    ngx_uint_t             i;
    ngx_media_rule_t      *rules;
    ngx_media_loc_conf_t  *mlcf;

    mlcf = ngx_media_loc_conf(r);

    if (mlcf->require == NULL) {
        return NULL;
    }

    rules = mlcf->require->elts;

    for (i = 0; i < mlcf->require->nelts; i++) {
        if (!ngx_media_require_holds(&rules[i], claims)) {
            return &rules[i];
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_media_require_holds(ngx_media_rule_t *rule, media_jwt_claims_t *claims)
{
    ngx_str_t   *values;
    ngx_uint_t   i;

    values = rule->values.elts;

    for (i = 0; i < rule->values.nelts; i++) {
        if (media_jwt_claim_holds(claims, ngx_media_view(&rule->claim),
                                  ngx_media_view(&values[i])))
        {
            return !rule->negative;
        }
    }

    return rule->negative;
}
