"""The three services without `await`: one line per method; the async method has its types and documentation."""

from criteo_audiences import commerce_grid, marketing_solutions, retail_media
from criteo_audiences.blocking.twins import Service, blocking, blocking_source


class MarketingSolutions(Service):
    """Criteo's Marketing Solutions; reached as `client.marketing_solutions`."""

    create_audience_segments = blocking(marketing_solutions.MarketingSolutions.create_audience_segments)
    update_audience_segments = blocking(marketing_solutions.MarketingSolutions.update_audience_segments)
    delete_audience_segments = blocking(marketing_solutions.MarketingSolutions.delete_audience_segments)
    search_audience_segments = blocking(marketing_solutions.MarketingSolutions.search_audience_segments)
    ensure_contact_list = blocking(marketing_solutions.MarketingSolutions.ensure_contact_list)
    amend_contact_list = blocking(marketing_solutions.MarketingSolutions.amend_contact_list)
    clear_contact_list = blocking(marketing_solutions.MarketingSolutions.clear_contact_list)
    get_contact_list_statistics = blocking(marketing_solutions.MarketingSolutions.get_contact_list_statistics)
    upload_contact_list = blocking_source(marketing_solutions.MarketingSolutions.upload_contact_list)
    stream_contact_list = blocking_source(marketing_solutions.MarketingSolutions.stream_contact_list)
    mirror_contact_list = blocking_source(marketing_solutions.MarketingSolutions.mirror_contact_list)
    replace_contact_list = blocking_source(marketing_solutions.MarketingSolutions.replace_contact_list)
    compute_audience_segment_sizes = blocking(marketing_solutions.MarketingSolutions.compute_audience_segment_sizes)
    estimate_audience_segment_size = blocking(marketing_solutions.MarketingSolutions.estimate_audience_segment_size)
    list_in_market_interests = blocking(marketing_solutions.MarketingSolutions.list_in_market_interests)
    list_in_market_brands = blocking(marketing_solutions.MarketingSolutions.list_in_market_brands)
    create_audiences = blocking(marketing_solutions.MarketingSolutions.create_audiences)
    update_audiences = blocking(marketing_solutions.MarketingSolutions.update_audiences)
    delete_audiences = blocking(marketing_solutions.MarketingSolutions.delete_audiences)
    search_audiences = blocking(marketing_solutions.MarketingSolutions.search_audiences)
    compute_audience_sizes = blocking(marketing_solutions.MarketingSolutions.compute_audience_sizes)
    estimate_audience_size = blocking(marketing_solutions.MarketingSolutions.estimate_audience_size)
    set_ad_set_audience = blocking(marketing_solutions.MarketingSolutions.set_ad_set_audience)
    get_application = blocking(marketing_solutions.MarketingSolutions.get_application)
    list_advertisers = blocking(marketing_solutions.MarketingSolutions.list_advertisers)


class RetailMedia(Service):
    """Criteo's Retail Media; reached as `client.retail_media`."""

    create_audience_segments = blocking(retail_media.RetailMedia.create_audience_segments)
    update_audience_segments = blocking(retail_media.RetailMedia.update_audience_segments)
    delete_audience_segments = blocking(retail_media.RetailMedia.delete_audience_segments)
    search_audience_segments = blocking(retail_media.RetailMedia.search_audience_segments)
    ensure_contact_list = blocking(retail_media.RetailMedia.ensure_contact_list)
    amend_contact_list = blocking(retail_media.RetailMedia.amend_contact_list)
    clear_contact_list = blocking(retail_media.RetailMedia.clear_contact_list)
    get_contact_list_statistics = blocking(retail_media.RetailMedia.get_contact_list_statistics)
    upload_contact_list = blocking_source(retail_media.RetailMedia.upload_contact_list)
    stream_contact_list = blocking_source(retail_media.RetailMedia.stream_contact_list)
    mirror_contact_list = blocking_source(retail_media.RetailMedia.mirror_contact_list)
    replace_contact_list = blocking_source(retail_media.RetailMedia.replace_contact_list)
    compute_audience_segment_sizes = blocking(retail_media.RetailMedia.compute_audience_segment_sizes)
    estimate_audience_segment_size = blocking(retail_media.RetailMedia.estimate_audience_segment_size)
    create_audiences = blocking(retail_media.RetailMedia.create_audiences)
    update_audiences = blocking(retail_media.RetailMedia.update_audiences)
    delete_audiences = blocking(retail_media.RetailMedia.delete_audiences)
    search_audiences = blocking(retail_media.RetailMedia.search_audiences)
    compute_audience_sizes = blocking(retail_media.RetailMedia.compute_audience_sizes)
    estimate_audience_size = blocking(retail_media.RetailMedia.estimate_audience_size)
    get_line_item_audiences = blocking(retail_media.RetailMedia.get_line_item_audiences)
    set_line_item_audiences = blocking(retail_media.RetailMedia.set_line_item_audiences)
    append_line_item_audiences = blocking(retail_media.RetailMedia.append_line_item_audiences)
    delete_line_item_audiences = blocking(retail_media.RetailMedia.delete_line_item_audiences)
    get_application = blocking(retail_media.RetailMedia.get_application)
    list_accounts = blocking(retail_media.RetailMedia.list_accounts)


class CommerceGrid(Service):
    """Criteo's Commerce Grid; reached as `client.commerce_grid`."""

    create_audience_segments = blocking(commerce_grid.CommerceGrid.create_audience_segments)
    update_audience_segments = blocking(commerce_grid.CommerceGrid.update_audience_segments)
    delete_audience_segments = blocking(commerce_grid.CommerceGrid.delete_audience_segments)
    search_audience_segments = blocking(commerce_grid.CommerceGrid.search_audience_segments)
    ensure_contact_list = blocking(commerce_grid.CommerceGrid.ensure_contact_list)
    amend_contact_list = blocking(commerce_grid.CommerceGrid.amend_contact_list)
    clear_contact_list = blocking(commerce_grid.CommerceGrid.clear_contact_list)
    get_contact_list_statistics = blocking(commerce_grid.CommerceGrid.get_contact_list_statistics)
    upload_contact_list = blocking_source(commerce_grid.CommerceGrid.upload_contact_list)
    stream_contact_list = blocking_source(commerce_grid.CommerceGrid.stream_contact_list)
    mirror_contact_list = blocking_source(commerce_grid.CommerceGrid.mirror_contact_list)
    replace_contact_list = blocking_source(commerce_grid.CommerceGrid.replace_contact_list)
    get_application = blocking(commerce_grid.CommerceGrid.get_application)
