"""Retail Media without `await`: one line a method, which is typed and explained where its async one is."""

from criteo_audiences import retail_media as api
from criteo_audiences.blocking.twins import Service, blocking, blocking_upload


class RetailMedia(Service):
    """Criteo's Retail Media; reached as `client.retail_media`."""

    create_audience_segments = blocking(api.RetailMedia.create_audience_segments)
    update_audience_segments = blocking(api.RetailMedia.update_audience_segments)
    delete_audience_segments = blocking(api.RetailMedia.delete_audience_segments)
    search_audience_segments = blocking(api.RetailMedia.search_audience_segments)
    ensure_contact_list = blocking(api.RetailMedia.ensure_contact_list)
    amend_contact_list = blocking(api.RetailMedia.amend_contact_list)
    clear_contact_list = blocking(api.RetailMedia.clear_contact_list)
    get_contact_list_statistics = blocking(api.RetailMedia.get_contact_list_statistics)
    upload_contact_list = blocking_upload(api.RetailMedia.upload_contact_list)
    stream_contact_list = blocking(api.RetailMedia.stream_contact_list)
    mirror_contact_list = blocking(api.RetailMedia.mirror_contact_list)
    replace_contact_list = blocking(api.RetailMedia.replace_contact_list)
    compute_audience_segment_sizes = blocking(api.RetailMedia.compute_audience_segment_sizes)
    estimate_audience_segment_size = blocking(api.RetailMedia.estimate_audience_segment_size)
    create_audiences = blocking(api.RetailMedia.create_audiences)
    update_audiences = blocking(api.RetailMedia.update_audiences)
    delete_audiences = blocking(api.RetailMedia.delete_audiences)
    search_audiences = blocking(api.RetailMedia.search_audiences)
    compute_audience_sizes = blocking(api.RetailMedia.compute_audience_sizes)
    estimate_audience_size = blocking(api.RetailMedia.estimate_audience_size)
    get_line_item_audiences = blocking(api.RetailMedia.get_line_item_audiences)
    set_line_item_audiences = blocking(api.RetailMedia.set_line_item_audiences)
    append_line_item_audiences = blocking(api.RetailMedia.append_line_item_audiences)
    delete_line_item_audiences = blocking(api.RetailMedia.delete_line_item_audiences)
    get_application = blocking(api.RetailMedia.get_application)
    list_accounts = blocking(api.RetailMedia.list_accounts)
