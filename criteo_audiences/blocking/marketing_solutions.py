"""Marketing Solutions without `await`: one line a method, which is typed and explained where its async one is."""

from criteo_audiences import marketing_solutions as api
from criteo_audiences.blocking.twins import Service, blocking, blocking_upload


class MarketingSolutions(Service):
    """Criteo's Marketing Solutions; reached as `client.marketing_solutions`."""

    create_audience_segments = blocking(api.MarketingSolutions.create_audience_segments)
    update_audience_segments = blocking(api.MarketingSolutions.update_audience_segments)
    delete_audience_segments = blocking(api.MarketingSolutions.delete_audience_segments)
    search_audience_segments = blocking(api.MarketingSolutions.search_audience_segments)
    ensure_contact_list = blocking(api.MarketingSolutions.ensure_contact_list)
    amend_contact_list = blocking(api.MarketingSolutions.amend_contact_list)
    clear_contact_list = blocking(api.MarketingSolutions.clear_contact_list)
    get_contact_list_statistics = blocking(api.MarketingSolutions.get_contact_list_statistics)
    upload_contact_list = blocking_upload(api.MarketingSolutions.upload_contact_list)
    stream_contact_list = blocking(api.MarketingSolutions.stream_contact_list)
    mirror_contact_list = blocking(api.MarketingSolutions.mirror_contact_list)
    replace_contact_list = blocking(api.MarketingSolutions.replace_contact_list)
    compute_audience_segment_sizes = blocking(api.MarketingSolutions.compute_audience_segment_sizes)
    estimate_audience_segment_size = blocking(api.MarketingSolutions.estimate_audience_segment_size)
    list_in_market_interests = blocking(api.MarketingSolutions.list_in_market_interests)
    list_in_market_brands = blocking(api.MarketingSolutions.list_in_market_brands)
    create_audiences = blocking(api.MarketingSolutions.create_audiences)
    update_audiences = blocking(api.MarketingSolutions.update_audiences)
    delete_audiences = blocking(api.MarketingSolutions.delete_audiences)
    search_audiences = blocking(api.MarketingSolutions.search_audiences)
    compute_audience_sizes = blocking(api.MarketingSolutions.compute_audience_sizes)
    estimate_audience_size = blocking(api.MarketingSolutions.estimate_audience_size)
    set_ad_set_audience = blocking(api.MarketingSolutions.set_ad_set_audience)
    get_application = blocking(api.MarketingSolutions.get_application)
    list_advertisers = blocking(api.MarketingSolutions.list_advertisers)
